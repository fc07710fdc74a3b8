import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import type { NodeFarmClient } from '../../client/node/farm-client.ts';
import { patiently } from '../../client/patience.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { isTerminal } from '../../shared/renders/record.ts';
import { startFarm } from '../support/farm.ts';
import { RedisServer } from '../support/redis-servers.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

/** The power fails: what Redis had not yet brought to the disk, up to a second of writes, is gone. */

const ROUNDS = 6;
const LOST_MS = 1000;
const FORBEARANCE_MS = 120_000;

it('every render that Redis still knows ends, with all its frames, after its last second was lost', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-lost-second-'));
  const port = await freePort();
  let redis = await RedisServer.start(folder, { lines: ['appendonly yes'] }, { port });
  const data = path.join(folder, String(port));
  try {
    await using farm = await startFarm({
      models: { small: SMALL_MODEL },
      render: { segment_frames: 25 },
      redis: { url: `redis://127.0.0.1:${port}` },
    });
    const speech = path.join(farm.folder, 'speech.wav');
    await writeWav(speech, syllables(12));
    const framesOf = async (id: string) =>
      await Promise.all(Array.from({ length: 300 }, (_, index) => farm.client.frame(id, index)));
    const { id: peaceful } = await farm.client.submit(speech, { output: 'frames' });
    await farm.client.finished(peaceful);
    const expected = Buffer.concat(await framesOf(peaceful));
    let forgotten = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const { id } = await farm.client.submit(speech, { output: 'frames' });
      await delay(200 + 400 * round);
      const sizeBefore = await sizeOf(data);
      await delay(LOST_MS);
      await redis.kill();
      await truncate(await fileOf(data), sizeBefore);
      redis = await redis.again();
      const startedAtMs = performance.now();
      const known = await endOf(farm.client, id);
      if (!known) forgotten++;
      else {
        assert.equal(known, 'completed', JSON.stringify((await farm.client.get(id)).error));
        assert.ok(Buffer.concat(await framesOf(id)).equals(expected), `frames of round ${round} differ`);
      }
      const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
      t.diagnostic(`figure: Redis without its last second, round ${round}: ${known ?? 'forgotten'} after ${seconds} s`);
    }
    assert.ok(forgotten < ROUNDS);
    assert.deepEqual(await unfinished(farm.client), []);
  } finally {
    await redis.kill();
    await rm(folder, { recursive: true, force: true });
  }
});

/** The status in which a render ended; undefined when nobody knows of it. */
async function endOf(client: NodeFarmClient, id: string): Promise<string | undefined> {
  try {
    let status: string | undefined;
    for await (const view of client.watch(id, { forMs: FORBEARANCE_MS })) status = view.status;
    return status;
  } catch (error) {
    if (error instanceof FarmError && error.code === 'render_unknown') return undefined;
    throw error;
  }
}

async function unfinished(client: NodeFarmClient): Promise<string[]> {
  const { renders } = await patiently(() => client.list(100), { forMs: FORBEARANCE_MS });
  return renders.filter(({ status }) => !isTerminal(status)).map(({ id }) => id);
}

async function fileOf(folder: string): Promise<string> {
  const names = await readdir(path.join(folder, 'appendonlydir'));
  return path.join(folder, 'appendonlydir', names.find((name) => name.endsWith('.incr.aof')) ?? '');
}

async function sizeOf(folder: string): Promise<number> {
  return (await stat(await fileOf(folder))).size;
}
