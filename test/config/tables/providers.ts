import assert from 'node:assert/strict';
import path from 'node:path';
import type { KeyFarm } from '../key-farm.ts';
import type { KeyTable } from '../key-table.ts';
import { writeParts } from '../pictures.ts';
import { RETENTION, retentionChecks } from './retention.ts';

interface Bench {
  readonly farm: KeyFarm;
}

async function start(farm: KeyFarm): Promise<Bench> {
  await writeParts(path.join(farm.folder, 'avatars'));
  await farm.up({
    onnx: { execution_providers: ['cuda'] },
    models_root: 'avatars',
    retention: RETENTION,
    models: { ann: { model_path: 'crop.onnx', background_dir: 'blue', crop_rects_path: 'rects.json' } },
  });
  return { farm };
}

export const providerKeys: KeyTable<Bench> = {
  title: 'keys of providers and retention',
  start,
  checks: {
    'onnx.execution_providers': async ({ farm }) => {
      const { id } = await farm.client.submit(await farm.speech(0.1), { modelId: 'ann' });
      for await (const { status, waiting } of farm.client.watch(id)) {
        // A provider that is not there is the farm's fault: the render waits for it.
        if (waiting) {
          assert.match(`${waiting.code}: ${waiting.message}`, /^dependency_missing: .*cuda/);
          await farm.client.cancel(id);
          return;
        }
        if (status === 'completed')
          assert.deepEqual(
            new Set((await farm.client.receipt(id)).segments.map(({ provider }) => provider)),
            new Set(['cuda']),
          );
      }
    },
    ...retentionChecks,
  },
};
