import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { afterEach, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import type { LiveJob } from '../../shared/jobs/jobs.ts';
import { LiveRequests } from '../engine/live-requests.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { syllables } from '../support/sound.ts';
import { endProcess, startGpuProcess, writeWorkerConfig } from './gpu-process.ts';

const redis = await startRedisServer();
const configPath = await writeWorkerConfig({ limits: { drain_seconds: 1 } });
const SOUND = syllables(20);
const PAYLOAD = { audio: Buffer.from(SOUND.buffer) };
/** More than any machine makes in the second that a drain lasts. */
const MANY_FRAMES = 2000;

const workers: ChildProcess[] = [];
const endWorkers = () => Promise.all(workers.splice(0).map((worker) => endProcess(worker, 'SIGKILL')));
afterEach(endWorkers);

async function startWorker(gpuId = 0, more: readonly string[] = []): Promise<ChildProcess> {
  const worker = await startGpuProcess(gpuId, configPath, redis.url, more);
  workers.push(worker);
  return worker;
}

/** Sends a long job to GPU 0, calls `atFrame` when its first frame comes, and reads until the end. */
async function readAll(live: LiveRequests, job: LiveJob, atFrame: () => Promise<void>): Promise<number[]> {
  await live.save(job, PAYLOAD);
  const adding = live.add(job);
  const frames: number[] = [];
  let interrupted: Promise<void> | undefined;
  for await (const entry of live.entries(job.requestId)) {
    if (entry.type === 'frame') frames.push(entry.frameIndex);
    if (frames.length > 0) interrupted ??= atFrame();
    assert.notEqual(entry.type, 'failed', JSON.stringify(entry));
    if (entry.type === 'done') break;
  }
  await Promise.all([adding, interrupted]);
  return frames;
}

/** What a worker that was started with `--health` answers; undefined once it has ended. */
async function askHealth(port: number, path: string): Promise<[status: number, stage: string] | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    return [answer.status, ((await answer.json()) as { status: string }).status];
  } catch {
    return undefined; // Nobody listens any more.
  }
}

/** Has a worker drain at a long job, which the next one finishes. Returns what the first said of its health meanwhile. */
async function handBack(live: LiveRequests): Promise<unknown[]> {
  const port = await freePort();
  const first = await startWorker(0, ['--health', `:${port}`]);
  assert.deepEqual(await askHealth(port, '/readyz'), [200, 'ready']);
  const whileDraining: unknown[] = [];
  const job = live.job({ frames: { start: 0, end: MANY_FRAMES }, totalSamples: SOUND.length, output: 'jpeg' });
  const frames = await readAll(live, job, async () => {
    const ended = endProcess(first, 'SIGTERM');
    for (let health = await askHealth(port, '/readyz'); health; health = await askHealth(port, '/readyz')) {
      if (!isDeepStrictEqual(health, [200, 'ready'])) whileDraining.push(health);
      assert.equal((await askHealth(port, '/healthz'))?.[0] ?? 200, 200);
    }
    await ended;
    await startWorker();
  });
  await endWorkers();
  assert.deepEqual(
    frames,
    Array.from({ length: MANY_FRAMES }, (_, index) => index),
  );
  return whileDraining;
}

test('a job that a draining worker hands back is finished by the next one, each frame once', async () => {
  await using live = new LiveRequests(redis.url);
  let said: unknown[] = [];
  // On a machine that stands still for as long as the drain lasts nothing is seen of it.
  for (let tries = 3; said.length === 0 && tries > 0; tries--) said = await handBack(live);
  assert.deepEqual(said[0], [503, 'draining']);
});

test('the queue of a worker that is gone is worked off by another one, live jobs too', async () => {
  await using live = new LiveRequests(redis.url, 1);
  await startWorker(0);
  await endProcess(await startWorker(1), 'SIGKILL');
  const answers = await Promise.all(
    [1, 2, 3].map((count) =>
      live.ask(live.job({ frames: { start: 0, end: count }, totalSamples: SOUND.length }), PAYLOAD),
    ),
  );
  assert.deepEqual(
    answers.map(({ frames }) => frames.size),
    [1, 2, 3],
  );
  for (const { taken } of answers) assert.equal(taken, 0);
});
