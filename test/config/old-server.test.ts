import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { loadConfig } from '../../shared/config/load.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { BUILT_IN, KNOWN_KEYS, leafKeys, load, model, withoutPlace } from './config-files.ts';

const OLD_SERVER = fileURLToPath(new URL('fixtures/old-server.yaml', import.meta.url));

test('a file of the one-process server loads unchanged', () => {
  const config = loadConfig(OLD_SERVER, readEnvironment({}));
  assert.deepEqual(config.server, {
    port: { host: undefined, port: 50053 },
    compositing_port: null,
    inference_port: null,
    max_message_size_mb: 100,
    worker_count_per_gpu: 8,
    queue_size: 50,
  });
  assert.deepEqual(config.gpus, {
    enabled: true,
    count: 2,
    memory_gb_per_gpu: 24,
    assignment_strategy: 'least-loaded',
    allow_multi_gpu_models: false,
  });
  assert.deepEqual(config.capacity, {
    max_models: 40,
    max_memory_gb: 20.5,
    background_cache_frames: 600,
    eviction_policy: 'lru',
    idle_timeout_minutes: 30,
  });
  assert.equal(config.onnx.library_path, 'C:/onnxruntime-1.22.0/lib/onnxruntime.dll');
  assert.equal(config.onnx.intra_op_threads, 4);
  assert.deepEqual(config.output, { format: 'jpeg', jpeg_quality: 80 });
  assert.equal(config.logging.level, 'debug');
  assert.equal(config.logging.flush_interval_ms, 250);
  const { frameLimit, preloadModel, preloadBackgrounds, preferredGpu } = model(config, 'studio');
  assert.deepEqual(
    { frameLimit, preloadModel, preloadBackgrounds, preferredGpu },
    {
      frameLimit: 523,
      preloadModel: true,
      preloadBackgrounds: true,
      preferredGpu: 0,
    },
  );
});

test('the old file of these tests has every key that the one-process server had', () => {
  const farmsOwn =
    /^(http|grpc|redis|storage|models_from|host|auth|limits|live|render|retention|inference_server|metrics|tracing|dashboard|inputs|webhooks)\.|^logging\.(?:level|access_log|audit_log)$|_port$|preload$|execution_providers|audio_encoder_path|masks_dir|needs$|idle_dir|idle_video|blend$|background_mode|silence_|audio_features|hubert_chunks|frames_per_second|models\.[^.]+\.background$/;
  const old = leafKeys(parse(readFileSync(OLD_SERVER, 'utf8'))).map((key) =>
    key.replace(/^models\.\w+/, 'models.demo'),
  );
  assert.deepEqual(
    [...new Set(old)].sort(),
    KNOWN_KEYS.filter((key) => !farmsOwn.test(key)),
  );
});

test('Windows paths make a model unusable elsewhere, and that model alone', {
  skip: process.platform === 'win32',
}, () => {
  const config = loadConfig(
    OLD_SERVER,
    readEnvironment({ FARM_ONNX__AUDIO_ENCODER_PATH: '/srv/models/audio_encoder.onnx' }),
  );
  const { problems } = model(config, 'studio');
  assert.deepEqual(
    problems.map((problem) => problem.split(':', 1)[0]),
    ['model_path', 'background_dir', 'crop_rects_path'],
  );
  for (const problem of problems) assert.match(problem, /is a Windows path, and this machine runs (linux|darwin)$/);
  assert.match(problems.join('\n'), /"d:\/Projects\/models\/studio\/cache\/crop_rectangles\.json"/);
  const usable = model(config, 'newsroom');
  assert.deepEqual(usable.problems, []);
  assert.equal(usable.modelPath, '/srv/models/newsroom/best.onnx');
  assert.equal(usable.audioEncoderPath, '/srv/models/audio_encoder.onnx');
  assert.equal(usable.frameLimit, undefined);
  assert.equal(usable.preferredGpu, undefined);
});

test('an audio encoder that would lie in a Windows models_root is named', {
  skip: process.platform === 'win32',
}, () => {
  const { problems } = model(loadConfig(OLD_SERVER, readEnvironment({})), 'newsroom');
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? '', /^audio_encoder_path: "d:\/Projects\/models\/audio_encoder\.onnx" is a Windows path/);
});

test('0, "" and nothing mean the default for the keys of the one-process server', () => {
  for (const unset of [0, '', null]) {
    const config = load({
      server: { port: unset, max_message_size_mb: unset, worker_count_per_gpu: unset, queue_size: unset },
      gpus: { count: unset, memory_gb_per_gpu: unset, assignment_strategy: unset },
      capacity: Object.fromEntries(Object.keys(BUILT_IN.capacity).map((key) => [key, unset])),
      onnx: { cuda_streams_per_worker: unset },
      output: { format: unset, jpeg_quality: unset },
      logging: { level: unset, log_level: unset, sample_rate: unset, flush_interval_ms: unset },
    });
    assert.deepEqual(withoutPlace(config), withoutPlace(BUILT_IN), `for ${JSON.stringify(unset)}`);
  }
});

test('a key or a section with nothing behind it counts as one that is not there', () => {
  const empty: Record<string, Record<string, null> | null> = {};
  for (const [section = '', key] of KNOWN_KEYS.map((name) => name.split('.'))) {
    if (section === 'models' || key === undefined) empty[section] = null;
    else empty[section] = { ...empty[section], [key]: null };
  }
  assert.deepEqual(withoutPlace(load(empty)), withoutPlace(BUILT_IN));
  const sections = Object.fromEntries(Object.keys(empty).map((section) => [section, null]));
  assert.deepEqual(withoutPlace(load(sections)), withoutPlace(BUILT_IN));
  const paths = { model_path: 'a.onnx', background_dir: 'b', crop_rects_path: 'c.json' };
  const { problems, preferredGpu, frameLimit } = model(
    load({ models: { ann: { ...paths, source_video: null, preferred_gpu: null, num_frames: null } } }),
    'ann',
  );
  assert.deepEqual(
    { problems, preferredGpu, frameLimit },
    { problems: [], preferredGpu: undefined, frameLimit: undefined },
  );
});
