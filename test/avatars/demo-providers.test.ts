import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildDemoAvatar } from '../../avatars/demo/build.ts';
import { type CheckOptions, checkProvider, cpuOutputs } from '../../bench/provider-check.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';

/** A tenth of the step of an 8-bit picture. */
const MAX_ERROR = 0.1 / 255;
const OPTIONS: CheckOptions = { batches: [], rounds: 0, budgetMs: 0, threads: { intraOp: 1, interOp: 1 } };

for (const provider of ['cpu', 'webgpu', 'cuda']) {
  test(`the demo avatar's networks give on ${provider}, where it works, what they give on the CPU`, async (t) => {
    const paths = await buildDemoAvatar();
    const expected = await cpuOutputs(paths, OPTIONS.threads);
    const check = await checkProvider(provider, paths, expected, OPTIONS).catch((error: unknown) => {
      if (error instanceof FarmError && error.code === 'dependency_missing') return error;
      throw error;
    });
    if (check instanceof FarmError) return t.skip(check.message);
    assert.ok(check.generatorError <= MAX_ERROR, `pictures differ by ${check.generatorError}`);
    assert.ok(check.encoderError <= MAX_ERROR, `features differ by ${check.encoderError}`);
  });
}
