import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import { entryOf, infer } from '../farm/small-models.ts';
import { TestClient } from '../grpc/clients.ts';
import { openWorkspace, writeTinyModel } from '../models/workspace.ts';
import { DEMO_MODEL, startFarm } from '../support/farm.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

describe('a GPU that may have one model and is busy with a long segment', () => {
  it('answers live requests for that model, tells those for another what is in the way, and serves them after', async (t) => {
    const workspace = await openWorkspace(t);
    await using farm = await startFarm({
      models: { demo: DEMO_MODEL, tiny: entryOf(await writeTinyModel(workspace)) },
      capacity: { max_models: 1, idle_timeout_minutes: 0.01 },
      limits: { live_wait_seconds: 1 },
      render: { segment_frames: 10_000 },
    });
    const speech = path.join(workspace.folder, 'speech.wav');
    await writeWav(speech, syllables(60));
    const client = new TestClient(farm.grpcAddress);
    try {
      const { id } = await farm.client.submit(speech, { modelId: 'demo' });
      for await (const view of farm.client.watch(id)) if (view.frames.done > 0) break;
      await assert.rejects(infer(client, 'tiny'), {
        code: status.DEADLINE_EXCEEDED,
        details: /^Model tiny found no room in time: demo is in use, and at most 1 \(capacity\.max_models\)/,
      });
      const shared = await infer(client, 'demo');
      assert.ok(shared.success && shared.model_loaded, shared.error);
      assert.equal((await farm.client.get(id)).status, 'rendering');
      await farm.client.cancel(id);
      await until('the other model is served', async () =>
        infer(client, 'tiny').then(
          ({ success }) => success,
          () => false,
        ),
      );
      await until('it is unloaded when it is idle', async () => {
        const [gpu] = (await farm.client.gpus()).gpus;
        const loaded = gpu?.models.filter((model) => model.loaded) ?? [];
        return loaded.length === 0 && gpu?.memory?.used_mb === 0;
      });
    } finally {
      client.close();
    }
  });
});
