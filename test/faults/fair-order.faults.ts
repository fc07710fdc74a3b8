import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { QueueClients } from '../../shared/jobs/queues.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

const SEGMENT_FRAMES = 25;
/** 20 MB: long enough for the queue of long sounds, both as an upload and as a render. */
const LONG_SECONDS = 610;
const WORD_SECONDS = 1.6;

interface BoardQueue {
  readonly name: string;
  readonly statuses: readonly string[];
  readonly counts: { readonly waiting: number };
  readonly jobs: readonly { readonly name: string }[];
}

/** The same words again and again. */
function longSpeech(): Float32Array {
  const word = syllables(WORD_SECONDS);
  const samples = new Float32Array(LONG_SECONDS * 16_000);
  for (let start = 0; start < samples.length; start += word.length) {
    samples.set(word.subarray(0, samples.length - start), start);
  }
  return samples;
}

describe('renders of very different length on one GPU', () => {
  let farm: TestFarm;
  let redis: ReturnType<typeof workerConnection>;
  let queues: QueueClients;
  let short = '';
  let longId = '';

  before(async () => {
    farm = await startFarm({ models: { small: SMALL_MODEL }, render: { segment_frames: SEGMENT_FRAMES } });
    redis = workerConnection(farm.farm.redisUrl);
    queues = new QueueClients(redis);
    short = path.join(farm.folder, 'short.wav');
    await writeWav(short, syllables(0.5));
    const long = path.join(farm.folder, 'long.wav');
    await writeWav(long, longSpeech());
    longId = (await farm.client.submit(long, { modelId: 'small', output: 'frames' })).id;
    await rm(long);
    for await (const { frames } of farm.client.watch(longId)) if (frames.done > 0) break;
  });
  after(async () => {
    await queues.close();
    redis.disconnect();
    await farm[Symbol.asyncDispose]();
  });

  it('a short one is completed while nearly all of a long one waits', async () => {
    const ids = await Promise.all([1, 2].map(() => farm.client.submit(short, { modelId: 'small', output: 'frames' })));
    for (const { id } of ids) assert.equal((await farm.client.finished(id)).status, 'completed');
    const { status, frames } = await farm.client.get(longId);
    assert.equal(status, 'rendering');
    assert.ok(frames.done < (frames.total ?? 0) / 2, `${frames.done} of ${frames.total} frames`);
  });

  it('a long one is rendered forward, also with others in between', async () => {
    const begun = (await farm.client.get(longId)).frames.done;
    await farm.client.finished((await farm.client.submit(short, { modelId: 'small', output: 'frames' })).id);
    await until('the long one goes on', async () => (await farm.client.get(longId)).frames.done > begun);
    const done = (await queues.gpu(0).getCompleted()).filter(({ data }) => data.renderId === longId);
    const indexes = done.map(({ data }) => data.segmentIndex).reverse();
    assert.deepEqual(
      indexes,
      indexes.map((_, index) => index),
    );
  });

  it('what waits of a long one is shown as waiting', async () => {
    const [gpu] = (await farm.client.gpus()).gpus;
    assert.ok(gpu && gpu.backlog.waiting > 100, JSON.stringify(gpu?.backlog));
    const answer = await fetch(`${farm.url}/dashboard/api/queues?activeQueue=gpu-0&status=waiting`);
    const board = (await answer.json()) as { queues: BoardQueue[] };
    const queue = board.queues.find(({ name }) => name === 'gpu-0');
    assert.ok(queue && queue.counts.waiting > 100, JSON.stringify(queue?.counts));
    assert.ok(!queue.statuses.includes('prioritized'));
    assert.match(queue.jobs[0]?.name ?? '', /^segment \d+ of 610 · frames /);
  });

  it('long sounds are decoded and joined in a place of their own', async () => {
    // Active while its sound is decoded.
    assert.match(await queues.media('media-long').getJobState(`prepare-${longId}`), /^(?:active|completed)$/);
    assert.equal(await queues.media('media-long').getJobState(`stitch-${longId}`), 'waiting-children');
    await farm.client.cancel(longId);
  });
});
