import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { setInterval } from 'node:timers/promises';
import { entryOf, infer } from '../farm/small-models.ts';
import { TestClient } from '../grpc/clients.ts';
import { openWorkspace, writeTinyModel } from '../models/workspace.ts';
import { startFarm } from '../support/farm.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

const MAX_MODELS = 3;
const IDS = Array.from({ length: 20 }, (_, index) => `model-${index}`);
const CALLERS = 12;
const LOOK_EVERY_MS = 150;

describe('twenty models on a GPU that may have three', () => {
  it('all answer under live requests and renders at once, and never more than three are loaded', async (t) => {
    const workspace = await openWorkspace(t);
    const entry = entryOf(await writeTinyModel(workspace));
    await using farm = await startFarm({
      models: Object.fromEntries(IDS.map((id) => [id, entry])),
      capacity: { max_models: MAX_MODELS },
      limits: { live_wait_seconds: 60 },
      render: { segment_frames: 10 },
    });
    const speech = path.join(workspace.folder, 'speech.wav');
    await writeWav(speech, syllables(1));
    const client = new TestClient(farm.grpcAddress);
    const watch = watchLoaded(farm.client);
    try {
      const renders = IDS.filter((_, index) => index % 5 === 0).map(async (modelId) => {
        const { id } = await farm.client.submit(speech, { modelId, output: 'frames' });
        return await farm.client.finished(id);
      });
      const asked = [...IDS, ...IDS.toReversed()];
      const callers = Array.from({ length: CALLERS }, async () => {
        for (let id = asked.pop(); id !== undefined; id = asked.pop()) {
          const answer = await infer(client, id, 2);
          assert.ok(answer.success, `${id}: ${answer.error}`);
          assert.equal(answer.composited_frames.length, 2);
        }
      });
      await Promise.all([...renders, ...callers]);
      for (const render of await Promise.all(renders)) assert.equal(render.frames.done, 25);
    } finally {
      client.close();
    }
    const most = await watch.stop();
    assert.ok(most > 0 && most <= MAX_MODELS, `${most} models were loaded at once`);
    const uses = 2 * IDS.length + (IDS.length / 5) * 3;
    let counted = 0;
    await until('every use is counted', async () => {
      const { models } = await farm.client.models();
      counted = models.reduce((sum, { requests }) => sum + requests, 0);
      return counted >= uses;
    }).finally(() => assert.ok(counted >= uses, `${counted} of ${uses} uses were counted`));
    const { models } = await farm.client.models();
    assert.ok(models.every(({ usable, requests, last_used_at }) => usable && requests >= 2 && last_used_at !== null));
    const loaded = models.filter(({ loaded_on }) => loaded_on.length > 0);
    assert.ok(loaded.length <= MAX_MODELS && loaded.every(({ loaded_on }) => (loaded_on[0]?.memory_mb ?? 0) > 0));
  });
});

/** Looks at the farm's models again and again; `stop` says how many were loaded at most. */
function watchLoaded(client: Awaited<ReturnType<typeof startFarm>>['client']) {
  let most = 0;
  let stopped = false;
  const looking = (async () => {
    // Often enough to see nearly every heartbeat, and seldom enough to leave the processor to the farm.
    for await (const _ of setInterval(LOOK_EVERY_MS)) {
      if (stopped) return;
      for (const { models } of (await client.gpus()).gpus) {
        most = Math.max(most, models.filter(({ loaded }) => loaded).length);
      }
    }
  })();
  return {
    async stop(): Promise<number> {
      stopped = true;
      await looking;
      return most;
    },
  };
}
