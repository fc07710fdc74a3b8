import assert from 'node:assert/strict';
import path from 'node:path';
import { FarmError } from '../../../shared/errors.ts';
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
      const providers = await farm.render('ann', 0.1).then(
        (receipt) => receipt.providers,
        (error: FarmError) => error,
      );
      if (!(providers instanceof FarmError)) assert.deepEqual(providers, ['cuda']);
      else assert.match(`${providers.code}: ${providers.message}`, /^dependency_missing: .*cuda/);
    },
    ...retentionChecks,
  },
};
