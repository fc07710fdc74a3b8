import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { HealthResponse } from '../../api/grpc/messages/monolithic.ts';
import { processIdentitySchema } from '../../shared/process/process-life.ts';
import type { ReadinessView } from '../../shared/views/health-view.ts';
import { hangingNetwork } from '../config/pictures.ts';
import { MONOLITHIC, TestClient } from '../grpc/clients.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { buildSmallAvatar, SMALL_MODEL, SMALL_PICTURES } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

/** Who hangs, who notices, who rescues: docs/reliability.md, "Who notices". Everything here is left hanging. */

const STUCK_SECONDS = 6;
const PATIENCE_MS = 90_000;
const LOOK_EVERY_MS = 100;

describe('what hangs is noticed and replaced, and renders end', () => {
  let folder = '';
  let farm: TestFarm;
  let grpc: TestClient;
  let speech = '';
  let expected = '';
  /** As long as this file exists, ffprobe hangs. */
  const hangs = () => path.join(folder, 'ffprobe-hangs');
  const pathBefore = process.env.PATH;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-hung-'));
    speech = path.join(folder, 'speech.wav');
    // Of a rate at which the farm leaves the file to ffprobe.
    await writeWav(speech, syllables(2, 96_000), 96_000);
    await putProbeInPath();
    farm = await startFarm({
      models: { small: SMALL_MODEL, ...(await faultyModels()) },
      limits: { stuck_seconds: STUCK_SECONDS },
      render: { segment_frames: 10 },
    });
    grpc = new TestClient(farm.grpcAddress);
    expected = await rendered((await farm.client.submit(speech, { modelId: 'small' })).id);
  });
  after(async () => {
    process.env.PATH = pathBefore;
    grpc.close();
    await farm[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function putProbeInPath(): Promise<void> {
    const real = (await promisify(execFile)('which', ['ffprobe'])).stdout.trim();
    const bin = path.join(folder, 'bin');
    await mkdir(bin);
    await writeFile(path.join(bin, 'ffprobe'), `#!/bin/sh\n[ -e ${hangs()} ] && sleep 300\nexec ${real} "$@"\n`);
    await chmod(path.join(bin, 'ffprobe'), 0o755);
    process.env.PATH = `${bin}:${pathBefore}`;
  }

  async function faultyModels(): Promise<Record<string, object>> {
    await buildSmallAvatar();
    await writeFile(path.join(folder, 'hanging.onnx'), hangingNetwork());
    const pictures = path.join(folder, 'pictures');
    await cp(SMALL_MODEL.background_dir, pictures, { recursive: true });
    const last = path.join(pictures, `frame_00000${SMALL_PICTURES - 1}.jpg`);
    await rm(last);
    execFileSync('mkfifo', [last]);
    return {
      hanging: { ...SMALL_MODEL, model_path: path.join(folder, 'hanging.onnx') },
      piped: { ...SMALL_MODEL, background_dir: pictures },
    };
  }

  async function rendered(id: string): Promise<string> {
    assert.equal((await farm.client.finished(id)).status, 'completed');
    return (await farm.client.receipt(id)).video?.sha256 ?? '';
  }

  /** Of the processes of the farm by name; of its Redis too. */
  async function pidOf(name: string): Promise<number> {
    if (name !== 'redis') return farm.farm.pids.get(name) as number;
    const file = path.join(farm.folder, 'data', 'redis', 'redis.pid');
    return processIdentitySchema.parse(JSON.parse(await readFile(file, 'utf8'))).pid;
  }

  async function readiness(): Promise<ReadinessView | undefined> {
    return await fetch(`${farm.url}/readyz`, { signal: AbortSignal.timeout(3000) }).then(
      async (answer) => (await answer.json()) as ReadinessView,
      () => undefined,
    );
  }

  async function secondsUntil(what: string, ask: () => Promise<boolean>): Promise<string> {
    const startedAt = performance.now();
    while (!(await ask())) {
      if (performance.now() - startedAt > PATIENCE_MS) throw new Error(`In vain waited until ${what}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    return ((performance.now() - startedAt) / 1000).toFixed(1);
  }

  const isReady = async () => (await readiness())?.status === 'ready';

  for (const name of ['media', 'gpu-0', 'api', 'redis']) {
    it(`${name}, stopped in mid-render`, async (t: TestContext) => {
      const before = await pidOf(name);
      const { id } = await farm.client.submit(speech, { modelId: 'small' });
      process.kill(before, 'SIGSTOP');
      const noticed = await secondsUntil('it is noticed', async () => !(await isReady()));
      const replaced = await secondsUntil(
        'it is replaced',
        async () => (await pidOf(name)) !== before && (await isReady()),
      );
      t.diagnostic(`${name}: /readyz said so after ${noticed} s, and was well again ${replaced} s later`);
      assert.equal(await rendered(id), expected);
      assert.equal((await grpc.unary<HealthResponse>(MONOLITHIC, 'Health', {})).healthy, true, 'an old client goes on');
      assert.ok(farm.log.some((line) => /(showed no life for 20 s|did not answer for 30 s)/.test(line)));
    });
  }

  it('the front end, killed: started again, for clients that were connected too', async (t) => {
    const before = await pidOf('api');
    process.kill(before, 'SIGKILL');
    const seconds = await secondsUntil(
      'it is replaced',
      async () => (await pidOf('api')) !== before && (await isReady()),
    );
    t.diagnostic(`api: well again after ${seconds} s`);
    assert.equal((await grpc.unary<HealthResponse>(MONOLITHIC, 'Health', {})).healthy, true);
    const [api] = (await farm.client.gpus()).processes.filter(({ name }) => name === 'api');
    assert.deepEqual([api?.state, api?.last_end], ['running', 'by SIGKILL']);
  });

  it('ffprobe, hung: a fault of the machine, and the render goes on once it is mended', async () => {
    await writeFile(hangs(), '');
    const { id } = await farm.client.submit(speech, { modelId: 'small' });
    await secondsUntil('it is noticed', async () =>
      farm.log.some((line) => /ffprobe (was stopped|made no)/.test(line)),
    );
    await rm(hangs());
    assert.equal(await rendered(id), expected);
  });

  it('a network that does not come back: its render fails, and others go on', async (t) => {
    const { id } = await farm.client.submit(speech, { modelId: 'hanging' });
    const startedAt = performance.now();
    await assert.rejects(farm.client.finished(id), { code: 'worker_stuck', message: /no progress for 6 s/ });
    t.diagnostic(`failed after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    assert.equal(await rendered((await farm.client.submit(speech, { modelId: 'small' })).id), expected);
  });

  it('a named pipe in place of a picture: the render fails and names it', async () => {
    const { id } = await farm.client.submit(speech, { modelId: 'piped' });
    await assert.rejects(farm.client.finished(id), {
      code: 'model_unusable',
      message: /frame_000006\.jpg is a named pipe/,
    });
  });
});
