import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, networkInterfaces } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import sharp from 'sharp';
import { PrivateRedis } from '../../../cli/supervisor/private-redis.ts';
import { workerConnection } from '../../../shared/redis/connections.ts';
import type { Receipt, RenderView } from '../../../shared/views/render-view.ts';
import { failureOf, farmCode } from '../../grpc/clients.ts';
import { heavyNetwork } from '../../onnx/tiny-onnx.ts';
import { missingTls, SentinelServers } from '../../support/redis-servers.ts';
import { until } from '../../support/until.ts';
import { CancelledRenders } from '../cancelled-renders.ts';
import type { KeyFarm } from '../key-farm.ts';
import type { KeyTable } from '../key-table.ts';
import { COUNTED, countingEncoder, countingNetwork, RECT, SIZE, writeParts } from '../pictures.ts';
import { refusesBytes } from '../stored-files.ts';

const PLAIN = { model_path: 'crop.onnx', background_dir: 'blue', crop_rects_path: 'rects.json' } as const;
/** More than a machine has by itself. */
const INTRA_OP_THREADS = availableParallelism() + 8;
const ENCODER_BATCH_WINDOWS = 5;
const BATCH_FRAMES = 2;
const SEGMENT_FRAMES = 10;
const JPEG_QUALITY = 31;
const MB = 2 ** 20;
const LIMIT_MB = 51.2;
/** Longer than a healthy worker takes to begin with a request, on a busy machine too. */
const LIVE_WAIT_S = 3;
/** How long a request may take of which the farm is to say after these seconds that nobody takes it. */
const PATIENCE_MS = 15_000;
const HOUR_MS = 3_600_000;
const MOST_FRAMES = 900;
const NO_WORKER_S = 3;

const PASSWORDS = { server: 'password-of-the-server', sentinel: 'password-of-the-sentinel' } as const;
const REDIS_KEYS = [
  ...['redis.url', 'redis.tls.ca_path', 'redis.tls.cert_path', 'redis.tls.key_path', 'redis.tls.servername'],
  ...['redis.sentinel.username', 'redis.sentinel.password'],
].join(' ');
const NO_TLS = missingTls();

interface Bench {
  readonly farm: KeyFarm;
  /** Over TLS, where that can be had, and named by a Sentinel. */
  readonly redis: SentinelServers;
  readonly liveRedis: PrivateRedis;
  /** Threads that the process of GPU 0 has gained by loading its first model. */
  readonly threadsGained: number | undefined;
  /** Of a render of one second, once there was one. */
  segments: Receipt['segments'];
}

async function start(farm: KeyFarm): Promise<Bench> {
  const root = path.join(farm.folder, 'avatars');
  await writeParts(root);
  await writeFile(path.join(root, 'counting.onnx'), countingNetwork());
  await writeFile(path.join(root, 'counting_encoder.onnx'), countingEncoder());
  await writeFile(path.join(root, 'heavy.onnx'), heavyNetwork(64 * MB));
  const redis = farm.others.use(
    await SentinelServers.start({ replicas: 0, sentinels: 1, tls: !NO_TLS, passwords: PASSWORDS }),
  );
  const liveRedis = await PrivateRedis.start(path.join(farm.folder, 'redis'));
  farm.others.defer(() => liveRedis.stop());
  const counting = { ...PLAIN, model_path: 'counting.onnx', audio_encoder_path: 'counting_encoder.onnx' };
  await farm.up({
    redis: { ...redis.ofFarm, live_url: liveRedis.url },
    http: { host: '0.0.0.0' },
    auth: { open_to_network: true },
    host: { name: 'bench-1', tags: ['of-bench', 'small'] },
    gpus: { count: 2, assignment_strategy: 'least-loaded', allow_multi_gpu_models: false },
    onnx: { execution_providers: ['cpu'], intra_op_threads: INTRA_OP_THREADS },
    capacity: { max_models: 2, eviction_policy: 'lru', max_memory_gb: LIMIT_MB / 1024 },
    output: { jpeg_quality: JPEG_QUALITY },
    logging: { level: 'warn', buffered_logging: true, flush_interval_ms: HOUR_MS },
    limits: {
      live_wait_seconds: LIVE_WAIT_S,
      max_unfinished_frames: MOST_FRAMES,
      max_waiting_uploads_gb: 0.001,
      storage_quota_gb: 0.03,
    },
    live: { max_batch_frames: 1, frame_channel: 'redis' },
    render: {
      no_worker_minutes: NO_WORKER_S / 60,
      segment_frames: SEGMENT_FRAMES,
      batch_frames: BATCH_FRAMES,
      encoder_batch_windows: ENCODER_BATCH_WINDOWS,
      h264_crf: 37,
      h264_preset: 'superfast',
    },
    models_root: 'avatars',
    models: {
      ann: PLAIN,
      counting: { ...counting, preferred_gpu: 1 },
      heavy: { ...PLAIN, model_path: 'heavy.onnx' },
      broken: { ...PLAIN, model_path: 'nowhere.onnx' },
      picky: { ...PLAIN, needs: ['of-bench', 'a100'] },
      suited: { ...PLAIN, needs: ['of-bench'] },
      first: { ...PLAIN, preferred_gpu: 0 },
      second: { ...PLAIN, preferred_gpu: 0 },
      third: { ...PLAIN, preferred_gpu: 0 },
    },
  });
  const before = await threadsOf(farm);
  await farm.client.loadModel('ann', 0);
  const after = await threadsOf(farm);
  await farm.client.loadModel('ann', 1);
  return { farm, redis, liveRedis, threadsGained: before && after && after - before, segments: [] };
}

/** Threads of GPU 0's process; undefined where the system does not show them. */
async function threadsOf(farm: KeyFarm): Promise<number | undefined> {
  const { gpus } = await farm.client.gpus();
  const tasks = await readdir(`/proc/${gpus[0]?.pid}/task`).catch(() => undefined);
  return tasks?.length;
}

/** Red and green in the middle of the mouth, 0 … 1. */
async function mouthOf(jpeg: Buffer): Promise<{ red: number; green: number }> {
  const pixels = await sharp(jpeg).removeAlpha().raw().toBuffer();
  const [x1, y1, x2, y2] = RECT;
  const at = (((y1 + y2) / 2) * SIZE.width + (x1 + x2) / 2) * 3;
  return { red: (pixels[at] ?? 0) / 255, green: (pixels[at + 1] ?? 0) / 255 };
}

/** How many of what is counted a colour stands for. */
function counted(value: number, step: number): number {
  return Math.round(value / step);
}

/** The tables of quantisation in a JPEG, of which quality follows. */
function quantisation(jpeg: Buffer): Buffer {
  const at = jpeg.indexOf(Buffer.from([0xff, 0xdb]));
  return jpeg.subarray(at, at + 2 + jpeg.readUInt16BE(at + 2));
}

async function loadedOn(farm: KeyFarm, gpu: number): Promise<string[]> {
  const { models } = await farm.client.models();
  return models.filter(({ loaded_on }) => loaded_on.some((place) => place.gpu === gpu)).map(({ id }) => id);
}

/** What x264 wrote into a video about its settings. */
const x264Settings = async (farm: KeyFarm): Promise<string> => {
  const { render_id } = await farm.render('ann', 0.4, { output: 'mp4' });
  const file = path.join(farm.folder, 'video.mp4');
  await farm.client.saveVideo(render_id, file);
  return / - options: ([ -~]*)/.exec((await readFile(file)).toString('latin1'))?.[1] ?? 'none found';
};

/** Notes the frame channels that are written to through a Redis, until it is disposed of. */
async function channelsThrough(redis: Redis) {
  // Where its first line comes together with Redis's OK, ioredis tells that as an error, and shows the others.
  const monitor = redis.duplicate({ monitor: true, lazyConnect: false }).on('error', () => {});
  await new Promise<void>((resolve) => monitor.once('monitoring', resolve));
  const found = {
    keys: new Set<string>(),
    commands: 0,
    [Symbol.asyncDispose]: async () => monitor.disconnect(),
  };
  monitor.on('monitor', (_, [command, key]: string[]) => {
    found.commands++;
    if (key?.startsWith('{farm}:live:') && command === 'xadd') found.keys.add(key);
  });
  return found;
}

export const gpuKeys: KeyTable<Bench> = {
  title: 'keys of GPUs, placement and renders',
  start,
  skips: { [REDIS_KEYS]: NO_TLS },
  checks: {
    'live.frame_channel redis.live_url': async ({ farm, redis, liveRedis }) => {
      const connection = workerConnection(liveRedis.url);
      await using live = await channelsThrough(connection);
      await using other = await channelsThrough((await redis.primary()).client);
      connection.disconnect();
      await farm.frames('ann');
      await until('the frame has come through the second Redis', () => live.keys.size === 1);
      await until('the first one has been used as well', () => other.commands > 0);
      assert.equal(other.keys.size, 0);
    },
    'auth.open_to_network': async ({ farm }) => {
      assert.ok(farm.output.includes(`  HTTP       ${farm.url}`));
      const others = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses);
      for (const { address, family } of others.filter((one) => one.family === 'IPv4')) {
        assert.equal((await fetch(`http://${address}:${farm.httpPort}/v1/gpus`)).status, 200, `${family} ${address}`);
      }
    },
    'limits.max_unfinished_frames limits.max_waiting_uploads_gb': async ({ farm }) => {
      // 500 frames and 0.64 MB each: of two, one waits; of three, two would be too much to wait.
      const speech = await farm.speech(20);
      const reached = (id: string, status: string) =>
        until(`it is ${status}`, async () => (await farm.client.get(id)).status === status);
      await farm.withoutGpus([0, 1], async () => {
        await using taken = new CancelledRenders(farm);
        const first = await taken.submit(speech);
        await reached(first, 'rendering');
        const other = await taken.submit(speech);
        await assert.rejects(taken.submit(speech), { code: 'queue_full', message: /max_waiting_uploads_gb/ });
        await reached(other, 'preparing');
        await farm.client.cancel(first);
        await reached(other, 'rendering');
      });
    },
    'limits.storage_quota_gb': async ({ farm }) => {
      await refusesBytes(farm, farm.client, 20 * MB, 'storage_full');
    },
    'gpus.count': async ({ farm }) => {
      const { gpus } = await farm.client.gpus();
      assert.deepEqual(
        gpus.map(({ gpu, state }) => [gpu, state]),
        [
          [0, 'ready'],
          [1, 'ready'],
        ],
      );
    },
    [REDIS_KEYS]: async ({ farm, redis }) => {
      // Neither the Sentinel nor the server answers anybody without all of these.
      assert.ok((await (await redis.primary()).client.keys('{farm}:heartbeat:*')).length > 0);
      const { url } = redis.ofFarm;
      const said = farm.output.join('\n');
      assert.ok(said.includes(`  Redis      ${url.replace(/:\/\/.*@/, '://***@')}`));
      for (const password of Object.values(PASSWORDS)) assert.ok(!said.includes(password));
    },
    'onnx.intra_op_threads': async ({ threadsGained }) => {
      // Each of the two networks has so many threads, less the one that calls it.
      assert.ok(threadsGained === undefined || threadsGained >= 2 * (INTRA_OP_THREADS - 1), `${threadsGained}`);
    },
    'gpus.assignment_strategy gpus.allow_multi_gpu_models': async (bench) => {
      const { farm } = bench;
      await using taken = new CancelledRenders(farm);
      const long = await taken.submit(await farm.speech(30));
      for await (const { status } of farm.client.watch(long)) if (status === 'rendering') break;
      // In turn they would go to different GPUs; the other one is done first both times.
      const short = [await farm.render('ann', 1), await farm.render('ann', 0.5)];
      const gpusOf = short.map(({ segments }) => [...new Set(segments.map(({ gpu }) => gpu))]);
      assert.notEqual((await farm.client.get(long)).status, 'completed');
      assert.deepEqual(gpusOf[0], gpusOf[1]);
      assert.equal(gpusOf[0]?.length, 1, 'all segments of a render are on one GPU');
      bench.segments = short[0]?.segments ?? [];
    },
    'render.segment_frames': async ({ segments }) => {
      assert.deepEqual(
        segments.map(({ frames }) => [frames.start, frames.end]),
        [
          [0, 10],
          [10, 20],
          [20, 25],
        ],
      );
    },
    'render.batch_frames render.encoder_batch_windows': async ({ farm }) => {
      const { render_id } = await farm.render('counting', 1);
      const { red, green } = await mouthOf(await farm.client.frame(render_id, 12));
      assert.equal(counted(red, COUNTED.frames), BATCH_FRAMES);
      assert.equal(counted(green, COUNTED.windows), ENCODER_BATCH_WINDOWS);
    },
    'live.max_batch_frames': async ({ farm }) => {
      for (const frame of await farm.frames('counting', { count: 8 })) {
        assert.equal(counted((await mouthOf(frame)).red, COUNTED.frames), 1);
      }
    },
    'models.demo.preferred_gpu': async ({ farm }) => {
      for (const { modelId, gpuId } of [
        { modelId: 'counting', gpuId: 1 },
        { modelId: 'first', gpuId: 0 },
      ]) {
        // It would be as quick on the other one.
        for (const gpu of [0, 1]) await farm.client.loadModel(modelId, gpu);
        const renders = [await farm.render(modelId, 0.1)];
        const live = [await farm.infer(modelId), await farm.infer(modelId)];
        const gpus = [...renders.map(({ segments }) => segments[0]?.gpu), ...live.map(({ gpu_id }) => gpu_id)];
        assert.deepEqual(gpus, Array(3).fill(gpuId));
      }
    },
    'host.tags': async ({ farm }) => {
      assert.equal((await farm.render('suited', 0.1)).frames, 3);
    },
    'models.demo.needs render.no_worker_minutes host.name': async ({ farm }) => {
      const { id } = await farm.client.submit(await farm.speech(0.1), { modelId: 'picky' });
      let waiting: RenderView['waiting'] = null;
      await until('it has failed', async () => {
        const view = await farm.client.get(id);
        waiting ??= view.waiting;
        return view.status === 'failed';
      });
      const { error } = await farm.client.get(id);
      const why =
        '"picky" needs a host with the tags of-bench, a100; of the hosts with a GPU worker bench-1 has of-bench, small';
      assert.deepEqual([error?.code, error?.message.split(', and none')[0]], ['no_worker', why]);
      assert.equal((waiting as RenderView['waiting'])?.code, 'no_worker');
      assert.match(String(await failureOf(farm.infer('picky'))), /needs a host with the tags/);
    },
    'capacity.max_models capacity.eviction_policy': async ({ farm }) => {
      // The first is used more often, and longer ago.
      for (const id of ['first', 'first', 'first', 'second']) await farm.frames(id);
      const listed = (id: string) => until(`${id} is listed`, async () => (await loadedOn(farm, 0)).includes(id));
      await listed('second');
      assert.deepEqual(await loadedOn(farm, 0), ['first', 'second']);
      await farm.frames('third');
      await listed('third');
      assert.deepEqual(await loadedOn(farm, 0), ['second', 'third']);
    },
    'capacity.max_memory_gb': async ({ farm }) => {
      const [gpu] = (await farm.client.gpus()).gpus;
      assert.equal(gpu?.memory?.limit_mb, LIMIT_MB);
      await assert.rejects(farm.client.loadModel('heavy'), { code: 'model_too_large' });
    },
    'output.jpeg_quality': async ({ farm }) => {
      const { render_id } = await farm.render('ann', 0.1);
      const ours = quantisation(await farm.client.frame(render_id, 0));
      const picture = sharp({ create: { ...SIZE, channels: 3, background: '#888' } });
      assert.deepEqual(ours, quantisation(await picture.jpeg({ quality: JPEG_QUALITY }).toBuffer()));
    },
    'render.h264_crf render.h264_preset': async ({ farm }) => {
      const settings = await x264Settings(farm);
      assert.match(settings, / crf=37\.0 /);
      // What sets this preset apart from its neighbours.
      assert.match(settings, / me=dia subme=1 /);
    },
    'limits.live_wait_seconds': async ({ farm }) => {
      const answer = await farm.withoutGpus([0, 1], async () => {
        const refused = failureOf(farm.infer('ann'));
        return await Promise.race([refused, delay(PATIENCE_MS, undefined, { ref: false })]);
      });
      assert.equal(answer && farmCode(answer), 'deadline_exceeded');
    },
    'logging.flush_interval_ms': async ({ farm }) => {
      assert.deepEqual(
        farm.output.filter((line) => line.includes('model cannot be used')),
        [],
        'it waits for an hour, or for the end',
      );
    },
  },
  afterTheEnd: {
    'logging.level': async ({ farm }) => {
      assert.deepEqual(
        farm.output.filter((line) => /render planned|segment rendered|ready/.test(line)),
        [],
      );
      assert.equal(farm.output.filter((line) => line.includes('model cannot be used')).length, 2, 'once a GPU');
    },
  },
};
