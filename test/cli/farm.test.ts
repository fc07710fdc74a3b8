import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { writeVideo } from '../avatar/videos.ts';
import { DEMO_MODEL, PREPARED_DIR } from '../support/farm.ts';
import { inspectVideo } from '../support/ffprobe.ts';
import { FARM, livingFamily, runCli, runCliIn, runCommand } from '../support/run-cli.ts';
import { untilSegmentRuns } from '../support/running-segment.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

describe('the farm command', () => {
  let folder = '';
  let speech = '';
  let brief = '';
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-cli-'));
    speech = path.join(folder, 'speech.wav');
    await writeWav(speech, syllables(2));
    brief = path.join(folder, 'brief.wav');
    await writeWav(brief, syllables(1));
  });
  after(async () => await rm(folder, { recursive: true, force: true }));

  async function writeConfig(name: string, settings: object): Promise<{ file: string; url: string }> {
    const port = await freePort();
    const file = path.join(folder, `${name}.yaml`);
    const server = { port: `127.0.0.1:${await freePort()}` };
    const storage = { root: `${name}-data`, prepared_dir: PREPARED_DIR, segment_cache_gb: 0 };
    await writeFile(file, stringify({ http: { port }, server, storage, ...settings }));
    return { file, url: `http://127.0.0.1:${port}` };
  }

  it('demo: makes a video, says where it is and leaves no process and no file behind', async () => {
    const video = path.join(folder, 'demo.mp4');
    const scratch = await mkdtemp(path.join(folder, 'scratch-'));
    // ONNX Runtime must be told by the farm itself to keep no files of its own.
    const run = runCliIn(
      { TMPDIR: scratch, ORT_DISABLE_TELEMETRY: undefined },
      'demo',
      '--out',
      video,
      '--audio',
      brief,
    );
    assert.equal(await run.exited, 0, run.output());
    assert.match(run.output(), /25\/25 frames/);
    assert.match(run.output(), /inference +\d+ ms/);
    assert.ok(run.output().includes(video));
    assert.equal((await inspectVideo(video)).videoTimes.length, 25);
    assert.deepEqual(await livingFamily(run.family), []);
    assert.deepEqual(await readdir(scratch), []);
  });

  it('up: keeps its work when it is killed, and finishes it when it is started again', async () => {
    const { file, url } = await writeConfig('durable', {
      models: { demo: DEMO_MODEL },
      render: { segment_frames: 20 },
    });
    const first = runCli('up', '--config', file);
    await first.until(/The farm is up/);
    const client = new NodeFarmClient(url);
    const { id } = await untilSegmentRuns(client, () => client.submit(speech));
    const gone = once(first.child, 'exit');
    first.child.kill('SIGKILL');
    await gone;

    const second = runCommand(process.execPath, [FARM, 'up', '--config', file], { ownGroup: true });
    await second.until(/The farm is up/);
    assert.equal((await client.finished(id)).status, 'completed');

    const third = runCli('up', '--config', file);
    assert.equal(await third.exited, 1);
    assert.match(third.output(), /farm_running/);

    // Ctrl-C in a terminal goes to all that is in the foreground. What runs is finished all the same.
    await untilSegmentRuns(client, () => client.submit(speech));
    process.kill(-(second.child.pid ?? 0), 'SIGINT');
    assert.equal(await second.exited, 0);
    assert.match(second.output(), /Draining[\s\S]*segment rendered[\s\S]*The farm has stopped/);
    assert.doesNotMatch(second.output(), /job failed/);
    assert.deepEqual(await livingFamily(second.family), []);
    // What the killed farm left behind gives up by itself.
    await until('they are gone', async () => (await livingFamily(first.family)).length === 0);
  });

  it('doctor: finds nothing to mend for the demo, and leaves pictures in a video where they are', async () => {
    const video = await writeVideo(path.join(folder, 'ann.mp4'), { frames: 3 });
    const ann = { ...DEMO_MODEL, background_dir: 'frames', source_video: video };
    const { file } = await writeConfig('fine', { models: { demo: DEMO_MODEL, ann } });
    const run = runCli('doctor', '--config', file);
    assert.equal(await run.exited, 0, run.output());
    assert.match(run.output(), /✓ addresses +http\.port [\d.:]+, server\.port [\d.:]+: free/);
    assert.match(run.output(), /model demo +100 frames of 1280×720, network 320², cpu/);
    assert.match(run.output(), /✓ model ann +pictures will be extracted from .*\.mp4 when a worker loads the model/);
    assert.match(run.output(), /provider cpu +.+, \d+ cores/);
    assert.ok(!(await readdir(folder)).includes('frames'));
  });

  it('doctor: names what is wrong with a model and how to mend it', async () => {
    const stranger = createServer().listen(0, '127.0.0.1');
    await once(stranger, 'listening');
    const { port } = stranger.address() as AddressInfo;
    const { file } = await writeConfig('wrong', {
      server: { port: `127.0.0.1:${port}`, inference_port: `:${port}` },
      metrics: { listen: `127.0.0.1:${port}` },
      models_root: 'D:/models',
      models: {
        old: { model_path: 'best.onnx' },
        swapped: { ...DEMO_MODEL, model_path: DEMO_MODEL.audio_encoder_path },
      },
    });
    const run = runCli('doctor', '--config', file);
    assert.equal(await run.exited, 1);
    stranger.close();
    assert.match(
      run.output(),
      /✗ addresses +server\.port: another program listens on [\s\S]*→ stop what listens there/,
    );
    assert.match(run.output(), /server\.port and server\.inference_port are the same port, \d+[\s\S]*metrics\.listen/);
    assert.match(run.output(), /✗ model old [\s\S]*model_path: "D:\/models\/best\.onnx" is a Windows path/);
    assert.match(run.output(), /✗ model swapped .*audio_encoder\.onnx/);
    assert.match(run.output(), /→ correct models\.old in /);
  });

  it('inspect mel: writes the mel as float32', async () => {
    const out = path.join(folder, 'mel.f32');
    const run = runCli('inspect', 'mel', speech, out, '--json');
    assert.equal(await run.exited, 0, run.output());
    assert.deepEqual(JSON.parse(run.output()), { out, frames: 161, bands: 80, samples: 32_000 });
    assert.equal((await readFile(out)).length, (1 + (2 * 16_000) / 200) * 80 * 4);
  });

  it('explains itself', async () => {
    const run = runCli('--help');
    assert.equal(await run.exited, 0);
    for (const command of ['up', 'down', 'demo', 'render', 'cancel', 'doctor', 'avatar', 'inspect'])
      assert.ok(run.output().includes(command));
  });
});
