import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { ModelRegistry } from '../../worker/models/model-registry.ts';
import { heavyNetwork } from '../onnx/tiny-onnx.ts';
import { modelsById } from '../support/model-config.ts';
import { NOT_PREPARING } from '../support/preparing.ts';
import { load, ROOMY, runOnce, unload, use } from './registries.ts';
import { openWorkspace, writeTinyModel } from './workspace.ts';

const SETTINGS = { providers: ['cpu'], threads: { intraOp: 1, interOp: 1 }, cachedFrames: 2, preparing: NOT_PREPARING };
const MB = 2 ** 20;
/** Much more than the process grows or shrinks by beside it. */
const WEIGHT_BYTES = 64 * MB;

/** Two models of one heavy network, and a memory limit that a test sets. */
async function openHeavy(t: TestContext) {
  const workspace = await openWorkspace(t);
  const tiny = await writeTinyModel(workspace);
  const entry = { ...tiny, modelPath: await workspace.write('heavy.onnx', heavyNetwork(WEIGHT_BYTES)) };
  const limits = { ...ROOMY };
  const registry = new ModelRegistry({
    ...SETTINGS,
    models: modelsById({ ann: entry, bob: entry }),
    limits,
  });
  t.after(() => registry.close());
  return { registry, limits, entry };
}

test('what a model takes is what its process grows by, and no less than its file weighs', async (t) => {
  const { entry } = await openHeavy(t);
  const script = fileURLToPath(new URL('./measured-process.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(entry)]);
  const { memoryBytes, grown } = JSON.parse(stdout) as { memoryBytes: number; grown: number };
  assert.ok(memoryBytes >= (await stat(entry.modelPath)).size, `${memoryBytes}`);
  assert.ok(Math.abs(memoryBytes - grown) < 0.25 * grown, `${memoryBytes} of ${grown}`);
});

test('a load past the memory limit unloads an idle model', async (t) => {
  const { registry, limits } = await openHeavy(t);
  const { memoryBytes } = await load(registry, 'ann');
  limits.maxBytes = memoryBytes * 1.3;
  await load(registry, 'bob');
  assert.deepEqual([...registry.loaded().keys()], ['bob']);
  assert.ok(registry.memory().usedBytes <= limits.maxBytes);
});

test('a load past the memory limit waits while the other model is in use', async (t) => {
  const { registry, limits } = await openHeavy(t);
  const held = await use(registry, 'ann');
  limits.maxBytes = held.model.memoryBytes * 1.3;
  let freed = false;
  const bob = use(registry, 'bob').then((granted) => {
    assert.ok(freed, 'bob was let in beside ann');
    return granted;
  });
  // Long enough for bob to be loaded, found to be too much, and let go again.
  for (let run = 0; run < 20; run++) await runOnce(held.model);
  freed = true;
  held[Symbol.dispose]();
  using granted = await bob;
  assert.equal(granted.model.modelId, 'bob');
  assert.deepEqual([...registry.loaded().keys()], ['bob']);
});

test('a model that alone passes the memory limit is refused with both figures, and released', async (t) => {
  const { registry, limits } = await openHeavy(t);
  limits.maxBytes = 8 * MB;
  await assert.rejects(load(registry, 'ann'), {
    code: 'model_too_large',
    message: /model ann takes \d+ MB of memory; all models together may take 8 MB/,
  });
  assert.deepEqual([registry.loaded().size, registry.memory().usedBytes], [0, 0]);
  limits.maxBytes = ROOMY.maxBytes;
  await load(registry, 'ann');
});

test('an encoder that models share counts once', async (t) => {
  const workspace = await openWorkspace(t);
  const tiny = await writeTinyModel(workspace);
  const other: ModelConfig = { ...tiny, modelPath: await workspace.write('heavy.onnx', heavyNetwork(WEIGHT_BYTES)) };
  const registry = new ModelRegistry({
    ...SETTINGS,
    models: modelsById({ ann: tiny, bob: other }),
    limits: ROOMY,
  });
  t.after(() => registry.close());
  const ann = await load(registry, 'ann');
  const alone = ann.memoryBytes;
  const bob = await load(registry, 'bob');
  const shared = alone - ann.memoryBytes;
  assert.ok(shared > 0, 'the share is smaller once there are two');
  assert.equal(registry.memory().usedBytes, ann.memoryBytes + bob.memoryBytes);
  await unload(registry, 'bob');
  assert.equal(ann.memoryBytes, alone);
});

test('pictures that are kept count, and preload_backgrounds brings them in before the load is done', async (t) => {
  const workspace = await openWorkspace(t);
  const tiny = await writeTinyModel(workspace);
  const registry = new ModelRegistry({
    ...SETTINGS,
    preparing: { ...NOT_PREPARING, folder: workspace.folder },
    models: modelsById({ lazy: tiny, eager: { ...tiny, preloadBackgrounds: true } }),
    limits: ROOMY,
  });
  t.after(() => registry.close());
  const [lazy, eager] = [await load(registry, 'lazy'), await load(registry, 'eager')];
  assert.equal(lazy.prepared.cachedBytes, 0);
  assert.ok(eager.prepared.cachedBytes > 0);
  const before = lazy.memoryBytes;
  await lazy.prepared.picture(0);
  assert.equal(lazy.memoryBytes - before, lazy.prepared.cachedBytes);
  assert.ok(lazy.memoryBytes > before);
});
