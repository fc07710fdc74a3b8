import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import { patiently } from '../../client/patience.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { nameOf } from '../support/command-names.ts';
import { type CutFarm, startCutFarm } from '../support/cut-farm.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/**
 * The answer to each command of a render's life is lost once, one render for each: the command has run, and the
 * connection breaks before its answer. The commands are those of a render in peace, found at run time.
 */

const PATIENCE = { forMs: 60_000 };
/** Commands that a render gives often are cut at their first and second time. */
const TIMES = 2;

describe('the answer to one command of a render is lost', () => {
  let farm: CutFarm;
  let speech: string;
  let video: string | undefined;
  const ids: string[] = [];

  before(async () => {
    farm = await startCutFarm({ render: { segment_frames: 10 } });
    speech = path.join(farm.folder, 'speech.wav');
    await writeWav(speech, syllables(0.8));
  });
  after(async () => await farm[Symbol.asyncDispose]());

  const submit = async (idempotencyKey: string) =>
    (await patiently(() => farm.client.submit(speech, { idempotencyKey }), PATIENCE)).id;

  const finish = async (id: string) => {
    let last: string | undefined;
    for await (const view of farm.client.watch(id, PATIENCE)) last = `${view.status} ${view.error?.message ?? ''}`;
    assert.equal(last, 'completed ');
    return (await patiently(() => farm.client.receipt(id), PATIENCE)).video?.sha256;
  };

  /** How often each command came by during a render in peace. */
  const commandsInPeace = async () => {
    const seen = new Map<string, number>();
    farm.proxy.judge = (command) => {
      const name = nameOf(command);
      if (name) seen.set(`${command.door}: ${name}`, (seen.get(`${command.door}: ${name}`) ?? 0) + 1);
      return false;
    };
    const id = await submit(randomUUID());
    video = await finish(id);
    ids.push(id);
    return seen;
  };

  const renderWithout = async (name: string, time: number) => {
    let met = 0;
    farm.proxy.judge = (command) => `${command.door}: ${nameOf(command)}` === name && ++met === time;
    const beganMs = performance.now();
    const key = randomUUID();
    const id = await submit(key);
    assert.equal(await finish(id), video, 'the video differs');
    farm.proxy.judge = () => false;
    assert.equal(await submit(key), id, 'the same key made another render');
    ids.push(id);
    const seconds = ((performance.now() - beganMs) / 1000).toFixed(1);
    console.log(`${seconds.padStart(6)} s  ${time}× ${name}${met < time ? '  (did not come by)' : ''}`);
  };

  it('each in its turn: every render completes, with the same video', { timeout: 1_500_000 }, async () => {
    await commandsInPeace();
    for (const [name, count] of await commandsInPeace()) {
      for (let time = 1; time <= Math.min(count, TIMES); time++) await renderWithout(name, time);
    }
  });

  it('and in the end nothing is left but results, and nobody had to find lost work', async () => {
    assert.deepEqual(
      farm.log.filter((line) => line.includes('nobody worked on')),
      [],
    );
    const redis = new Redis(farm.redisUrl);
    assert.equal(await redis.scard(`${KEY_PREFIX}:renders:active`), 0);
    assert.equal(await redis.zcard(`${KEY_PREFIX}:renders`), ids.length);
    redis.disconnect();
    const root = path.join(farm.folder, 'data', 'renders');
    assert.deepEqual((await readdir(root)).sort(), ids.toSorted());
    for (const id of ids) {
      const files = async () => (await readdir(path.join(root, id))).sort().join();
      await until(`the parts of ${id} are gone`, async () => (await files()) === 'receipt.json,video.mp4');
    }
  });
});
