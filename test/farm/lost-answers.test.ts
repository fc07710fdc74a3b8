import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { nameOf } from '../support/command-names.ts';
import { type CutFarm, startCutFarm } from '../support/cut-farm.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/**
 * Every step of a render runs in Redis, and its answer is lost with the connection. test/faults/lost-answers.faults.ts
 * does this to each command alone, one render after the other.
 */

const STEPS = [
  'api: ADMIT render:<id>',
  'api: Adds a prioritized job to the queue by doing the following: media:marker',
  'media: TRANSITION preparing',
  'media: TRANSITION rendering',
  'media: Adds a parent job to the queue by doing the following: media:meta',
  'gpu-0: PROGRESS render:<id>',
  'gpu-0: SAVE_RECEIPT render:<id>:segments',
  'media: TRANSITION stitching',
  'media: zadd renders:spent',
  'media: TRANSITION completed',
];

describe('a render all of whose steps lose their answers', () => {
  let farm: CutFarm;
  let speech: string;
  before(async () => {
    farm = await startCutFarm({ render: { segment_frames: 10 } });
    speech = path.join(farm.folder, 'speech.wav');
    await writeWav(speech, syllables(0.8));
  });
  after(async () => await farm[Symbol.asyncDispose]());

  const videoOf = async (id: string) => (await farm.client.receipt(id)).video?.sha256;
  const filesOf = async (id: string) => await readdir(path.join(farm.folder, 'data', 'renders', id)).catch(() => []);
  const order = async (method: string, place: string) => await fetch(`${farm.url}/v1/renders/${place}`, { method });

  it('is taken once, and completes with the same video', async () => {
    const calm = await farm.client.finished((await farm.client.submit(speech)).id);
    const left = farm.proxy.cutOnce(STEPS, nameOf);
    const { id } = await farm.client.submit(speech, { idempotencyKey: 'once' });
    await farm.client.finished(id);
    assert.deepEqual([...left], [], 'steps that lost no answer');
    assert.equal(await videoOf(id), await videoOf(calm.id));
    assert.equal((await farm.client.submit(speech, { idempotencyKey: 'once' })).id, id);
    assert.equal((await farm.client.list()).renders.length, 2);
    // Nothing was lost, so nobody had to find it.
    assert.deepEqual(
      farm.log.filter((line) => line.includes('nobody worked on')),
      [],
    );
  });

  it('is cancelled, and stays until it is removed', async () => {
    const long = path.join(farm.folder, 'long.wav');
    await writeWav(long, syllables(60));
    const left = farm.proxy.cutOnce(['api: TRANSITION cancelled'], nameOf);
    const { id } = await farm.client.submit(long);
    const answer = await order('POST', `${id}/cancel`);
    const { status } = (await answer.json()) as { status: string };
    assert.deepEqual([answer.status, status], [200, 'cancelled']);
    assert.equal(left.size, 0);
    assert.equal((await farm.client.get(id)).status, 'cancelled');
    await until('its files are gone', async () => (await filesOf(id)).length === 0);
    const removal = farm.proxy.cutOnce(['api: REMOVE render:<id>'], nameOf);
    assert.equal((await order('DELETE', id)).status, 204);
    assert.equal(removal.size, 0);
    assert.equal((await order('DELETE', id)).status, 404);
  });
});
