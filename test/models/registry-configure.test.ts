import assert from 'node:assert/strict';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { ModelRegistry } from '../../worker/models/model-registry.ts';
import { writeVideo } from '../avatar/videos.ts';
import { tinyEncoder, tinyNetwork } from '../onnx/tiny-onnx.ts';
import { NOT_PREPARING } from '../support/preparing.ts';
import { until } from '../support/until.ts';
import { load, ROOMY, runOnce, use } from './registries.ts';
import { drawPicture, openWorkspace, writeTinyModel } from './workspace.ts';

async function openRegistry(t: TestContext) {
  const workspace = await openWorkspace(t);
  const entry = await writeTinyModel(workspace);
  const models = new Map([['ann', entry]]);
  const settings = {
    providers: ['cpu'],
    threads: { intraOp: 1, interOp: 1 },
    cachedFrames: 2,
    preparing: NOT_PREPARING,
    limits: ROOMY,
  };
  const registry = new ModelRegistry({ ...settings, models });
  t.after(() => registry.close());
  const replace = async (path: string, content: Uint8Array) =>
    await rename(await workspace.write('new', content), path);
  return { registry, workspace, entry, models, replace };
}

test('a changed entry is loaded anew, while its users keep what they have', async (t) => {
  const { registry, workspace, entry } = await openRegistry(t);
  const held = await use(registry, 'ann');
  const other: ModelConfig = { ...entry, modelPath: await workspace.write('other.onnx', tinyNetwork({ size: 320 })) };
  await registry.configure(new Map([['ann', other]]));
  assert.equal((await load(registry, 'ann')).network.size, 320);
  await runOnce(held.model);
  held[Symbol.dispose]();
  await until('the old one is released', () =>
    runOnce(held.model).then(
      () => false,
      () => true,
    ),
  );
});

test('an entry that is the same, from files that are the same, stays loaded', async (t) => {
  const { registry, entry } = await openRegistry(t);
  const loaded = await load(registry, 'ann');
  await registry.configure(new Map([['ann', { ...entry }]]));
  assert.equal(await load(registry, 'ann'), loaded);
});

test('an entry that differs in how the model is handled stays loaded; in what it is made from, it does not', async (t) => {
  const { registry, entry, workspace } = await openRegistry(t);
  const loaded = await load(registry, 'ann');
  const handled = { ...entry, preloadModel: true, preferredGpu: 3 };
  await registry.configure(new Map([['ann', handled]]));
  assert.equal(await load(registry, 'ann'), loaded);
  await mkdir(join(workspace.folder, 'crops'));
  await sharp(await drawPicture('png', { width: 160, height: 160 })).toFile(join(workspace.folder, 'crops', '0.png'));
  const faced = { ...entry, frameLimit: 1, cropsDir: join(workspace.folder, 'crops') };
  await registry.configure(new Map([['ann', faced]]));
  const other = await load(registry, 'ann');
  assert.notEqual(other, loaded);
  assert.equal(other.avatar.frameCount, 1);
  assert.ok(other.avatar.face, 'the faces are in use');
});

test('a model that has made its pictures from a video stays loaded', async (t) => {
  const { registry, entry, workspace } = await openRegistry(t);
  const sourceVideo = await writeVideo(join(workspace.folder, 'ann.mp4'), { frames: 3 });
  const filmed = new Map([['ann', { ...entry, sourceVideo, backgroundDir: join(workspace.folder, 'from-video') }]]);
  await registry.configure(filmed);
  const loaded = await load(registry, 'ann');
  assert.deepEqual([loaded.avatar.width, loaded.avatar.frameCount], [64, 3]);
  await registry.configure(filmed);
  assert.equal(await load(registry, 'ann'), loaded);
});

test('a network that was replaced in its place is loaded anew', async (t) => {
  const { registry, entry, models, replace } = await openRegistry(t);
  assert.equal((await load(registry, 'ann')).network.size, 160);
  await replace(entry.modelPath, tinyNetwork({ size: 320 }));
  assert.equal((await load(registry, 'ann')).network.size, 160);
  await registry.configure(models);
  assert.equal((await load(registry, 'ann')).network.size, 320);
});

test('an encoder that was replaced is not shared with those who hold the old one', async (t) => {
  const { registry, entry, models, replace } = await openRegistry(t);
  using held = await use(registry, 'ann');
  await replace(entry.audioEncoderPath, tinyEncoder({ batch: 'windows' }));
  await registry.configure(models);
  const { encoder } = await load(registry, 'ann');
  assert.notEqual(encoder, held.model.encoder);
  await held.model.encoder.encode(new Float32Array(80 * 16), 1);
});

test('a removed model is refused to who waits or comes, and unloaded when its users are done', async (t) => {
  const { registry } = await openRegistry(t);
  const held = await use(registry, 'ann');
  registry.unload('ann');
  const waiting = use(registry, 'ann');
  const refused = assert.rejects(waiting, { code: 'model_unknown', message: /no model ann: configured are none/ });
  await registry.configure(new Map());
  await refused;
  await assert.rejects(use(registry, 'ann'), { code: 'model_unknown' });
  await runOnce(held.model);
  assert.equal(registry.loaded().size, 1);
  held[Symbol.dispose]();
  await until('it is unloaded', () => registry.loaded().size === 0);
});
