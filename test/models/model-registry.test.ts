import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { ModelRegistry } from '../../worker/models/model-registry.ts';
import { modelsById } from '../support/model-config.ts';
import { NOT_PREPARING } from '../support/preparing.ts';
import { load, ROOMY, runOnce, unload } from './registries.ts';
import { openWorkspace, writeTinyModel } from './workspace.ts';

const SETTINGS = {
  providers: ['cuda', 'cpu'],
  threads: { intraOp: 1, interOp: 1 },
  cachedFrames: 2,
  preparing: NOT_PREPARING,
  limits: ROOMY,
};
const WINDOW = new Float32Array(80 * 16);

function openRegistry(t: TestContext, models: Record<string, ModelConfig>): ModelRegistry {
  const registry = new ModelRegistry({ ...SETTINGS, models: modelsById(models) });
  t.after(() => registry.close());
  return registry;
}

test('a loaded model can encode, generate and show its avatar', async (t) => {
  const registry = openRegistry(t, { ann: await writeTinyModel(await openWorkspace(t)) });
  const { network, encoder, avatar, provider, loadMs, msPerFrame } = await load(registry, 'ann');
  assert.equal((await encoder.encode(WINDOW, 1)).length, 512);
  assert.equal(
    (await network.generate(new Float32Array(6 * 160 * 160), new Float32Array(8192), 1)).length,
    3 * 160 ** 2,
  );
  assert.equal((await avatar.background(2)).data[0], 2);
  assert.deepEqual(avatar.rect(0), { x1: 4, y1: 4, x2: 20, y2: 20 });
  assert.ok(['cuda', 'cpu'].includes(provider.provider));
  assert.ok(loadMs > msPerFrame && msPerFrame > 0);
});

test('a loaded model names its files by size and SHA-256', async (t) => {
  const entry = await writeTinyModel(await openWorkspace(t));
  const { files } = await load(openRegistry(t, { ann: entry }), 'ann');
  assert.deepEqual(
    files.map(({ path }) => path),
    [entry.modelPath, entry.audioEncoderPath, entry.cropRectsPath],
  );
  for (const { path, sha256, sizeBytes } of files) {
    const bytes = await readFile(path);
    assert.equal(sizeBytes, bytes.length);
    assert.equal(sha256, createHash('sha256').update(bytes).digest('hex'));
  }
});

test('callers that come while a model loads get that load', async (t) => {
  const registry = openRegistry(t, { ann: await writeTinyModel(await openWorkspace(t)) });
  const [first, second] = await Promise.all([load(registry, 'ann'), load(registry, 'ann')]);
  assert.equal(first, second);
  assert.equal(await load(registry, 'ann'), first);
  assert.deepEqual([...registry.loaded().keys()], ['ann']);
});

test('models of one encoder file share its session until the last of them goes', async (t) => {
  const entry = await writeTinyModel(await openWorkspace(t));
  const registry = openRegistry(t, { ann: entry, bob: entry });
  const [ann, bob] = await Promise.all([load(registry, 'ann'), load(registry, 'bob')]);
  assert.equal(ann.encoder, bob.encoder);
  assert.notEqual(ann.network, bob.network);
  await unload(registry, 'ann');
  await bob.encoder.encode(WINDOW, 1);
  await unload(registry, 'bob');
  await assert.rejects(bob.encoder.encode(WINDOW, 1), { code: 'inference_failed' });
  await (await load(registry, 'bob')).encoder.encode(WINDOW, 1);
});

for (const missing of ['modelPath', 'audioEncoderPath', 'cropRectsPath'] as const) {
  test(`a load that fails for its ${missing} is forgotten: the next one finds what was mended`, async (t) => {
    const workspace = await openWorkspace(t);
    const entry = await writeTinyModel(workspace);
    const aside = join(workspace.folder, 'aside');
    await rename(entry[missing], aside);
    const registry = openRegistry(t, { ann: entry });
    const loads = [load(registry, 'ann'), load(registry, 'ann')];
    for (const load of loads) {
      await assert.rejects(load, (error: Error & { code?: string }) => {
        assert.equal(error.code, 'model_unusable');
        assert.ok(error.message.includes(entry[missing]));
        return true;
      });
    }
    assert.deepEqual([...registry.loaded().keys()], []);
    await rename(aside, entry[missing]);
    assert.equal((await load(registry, 'ann')).modelId, 'ann');
  });
}

test('an unknown id is refused with the known ones', async (t) => {
  const registry = openRegistry(t, { ann: await writeTinyModel(await openWorkspace(t)) });
  await assert.rejects(load(registry, 'cleo'), { code: 'model_unknown', message: /no model cleo: configured are ann/ });
});

test('unloading ends a model, and the next request loads it anew', async (t) => {
  const registry = openRegistry(t, { ann: await writeTinyModel(await openWorkspace(t)) });
  const first = await load(registry, 'ann');
  await unload(registry, 'ann');
  await assert.rejects(runOnce(first), /released/);
  assert.notEqual(await load(registry, 'ann'), first);
});

test('a model loads and runs inside a worker thread', async (t) => {
  const entry = await writeTinyModel(await openWorkspace(t));
  const worker = new Worker(new URL('./registry-thread.ts', import.meta.url), { workerData: { entry, ...SETTINGS } });
  const [answer, exitCode] = await new Promise<[unknown, number]>((resolve, reject) => {
    let message: unknown;
    worker.once('message', (value) => {
      message = value;
    });
    worker.once('error', reject);
    worker.once('exit', (code) => resolve([message, code]));
  });
  assert.deepEqual(answer, { features: 512, picture: 3 * 160 * 160, background: 32 * 24 * 3 });
  assert.equal(exitCode, 0);
});
