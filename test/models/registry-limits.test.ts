import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { Turns } from '../../worker/engine/turns.ts';
import type { ModelLimits } from '../../worker/models/model-limits.ts';
import { ModelRegistry } from '../../worker/models/model-registry.ts';
import { modelsById } from '../support/model-config.ts';
import { NOT_PREPARING } from '../support/preparing.ts';
import { until } from '../support/until.ts';
import { load, ROOMY, runOnce, unload, use } from './registries.ts';
import { openWorkspace, writeTinyModel } from './workspace.ts';

const SETTINGS = { providers: ['cpu'], threads: { intraOp: 1, interOp: 1 }, cachedFrames: 2, preparing: NOT_PREPARING };
const IDS = ['ann', 'bob', 'cleo', 'dora'];

/** A registry of tiny models with `changes` to limits that nothing reaches, and the most models it ever had. */
async function openRegistry(t: TestContext, changes: Partial<ModelLimits>, ids = IDS) {
  const entry: ModelConfig = await writeTinyModel(await openWorkspace(t));
  let most = 0;
  const registry = new ModelRegistry({
    ...SETTINGS,
    models: modelsById(Object.fromEntries(ids.map((id) => [id, entry]))),
    limits: { ...ROOMY, ...changes },
    onChange: () => {
      most = Math.max(most, registry.loaded().size);
    },
  });
  t.after(() => registry.close());
  return { registry, entry, most: () => most, ids: () => [...registry.loaded().keys()].sort() };
}

test('forty models are all served by three places, whoever asks at once', async (t) => {
  const ids = Array.from({ length: 40 }, (_, index) => `model-${index}`);
  const { registry, most } = await openRegistry(t, { maxModels: 3 }, ids);
  const served: string[] = [];
  const turns = new Turns();
  const ask = async (id: string, kind: 'live' | 'segment') => {
    using held = await use(registry, id, kind);
    await turns.run('live', new AbortController().signal, () => runOnce(held.model));
    served.push(id);
  };
  await Promise.all([...ids, ...ids.toReversed()].map((id, index) => ask(id, index % 5 === 0 ? 'segment' : 'live')));
  assert.deepEqual(new Set(served), new Set(ids));
  assert.equal(served.length, 80);
  assert.equal(most(), 3);
});

test('the least used model makes room under lfu, the one unused for longest under lru', async (t) => {
  for (const [evictionPolicy, left] of [
    ['lfu', ['ann', 'cleo']],
    ['lru', ['bob', 'cleo']],
  ] as const) {
    const { registry, ids } = await openRegistry(t, { maxModels: 2, evictionPolicy });
    for (const id of ['ann', 'ann', 'bob', 'cleo']) await load(registry, id);
    assert.deepEqual(ids(), left, evictionPolicy);
  }
});

test('a model in use is never unloaded: who needs its place waits until it is free', async (t) => {
  const { registry, ids } = await openRegistry(t, { maxModels: 1 });
  const held = await use(registry, 'ann');
  const bob = use(registry, 'bob');
  await runOnce(held.model);
  assert.deepEqual(ids(), ['ann']);
  held[Symbol.dispose]();
  using next = await bob;
  assert.equal(next.model.modelId, 'bob');
  assert.ok(!next.wasLoaded && next.waitedMs > 0);
  assert.deepEqual(ids(), ['bob']);
});

test('newcomers of a loaded model do not keep it from those who wait for its place', async (t) => {
  const { registry } = await openRegistry(t, { maxModels: 1 });
  const order: string[] = [];
  const first = await use(registry, 'ann');
  const ask = async (name: string, id: string) => {
    using _held = await use(registry, id);
    order.push(name);
  };
  const asked = [ask('bob', 'bob'), ask('newcomer', 'ann')];
  first[Symbol.dispose]();
  await Promise.all(asked);
  assert.deepEqual(order, ['bob', 'newcomer']);
});

test('while a segment keeps a model, live requests for it need not wait behind those who want its place', async (t) => {
  const { registry } = await openRegistry(t, { maxModels: 1 });
  const segment = await use(registry, 'ann', 'segment');
  const bob = use(registry, 'bob');
  const live = await use(registry, 'ann', 'live');
  assert.ok(live.wasLoaded);
  const nextSegment = use(registry, 'ann', 'segment');
  segment[Symbol.dispose]();
  live[Symbol.dispose]();
  (await bob)[Symbol.dispose]();
  assert.ok(!(await nextSegment).wasLoaded);
});

test('of several models in use, one without a segment makes room', async (t) => {
  const { registry, ids } = await openRegistry(t, { maxModels: 2 });
  using segment = await use(registry, 'ann', 'segment');
  const live = await use(registry, 'bob');
  const cleo = use(registry, 'cleo');
  live[Symbol.dispose]();
  using _cleo = await cleo;
  assert.deepEqual(ids(), ['ann', 'cleo']);
  assert.equal(segment.model.modelId, 'ann');
});

test('who stops waiting leaves the place to the next', async (t) => {
  const { registry } = await openRegistry(t, { maxModels: 1 });
  const held = await use(registry, 'ann');
  const stop = new AbortController();
  const bob = registry.use('bob', { kind: 'live', signal: stop.signal });
  const newcomer = use(registry, 'ann');
  stop.abort(new Error('no longer wanted'));
  await assert.rejects(bob, /no longer wanted/);
  // Nobody waits for room any longer: the model takes newcomers again.
  using again = await newcomer;
  assert.equal(again.model, held.model);
  held[Symbol.dispose]();
});

test('who finds no room in time is told what keeps it', async (t) => {
  const { registry } = await openRegistry(t, { maxModels: 1 });
  using _held = await use(registry, 'ann', 'segment');
  const { signal } = new AbortController();
  await assert.rejects(registry.use('bob', { kind: 'live', signal, waitMs: 5 }), {
    code: 'deadline_exceeded',
    message: /bob found no room in time: ann is in use, and at most 1 \(capacity\.max_models\)/,
  });
});

test('a load that fails lets those behind it pass', async (t) => {
  const { registry, entry } = await openRegistry(t, { maxModels: 1 });
  await registry.configure(modelsById({ ann: entry, bad: { ...entry, modelPath: `${entry.modelPath}.gone` } }));
  const held = await use(registry, 'ann');
  const bad = use(registry, 'bad');
  const after = use(registry, 'ann');
  held[Symbol.dispose]();
  await assert.rejects(bad, { code: 'model_unusable', message: /network\.onnx\.gone/ });
  assert.equal((await after).model.modelId, 'ann');
});

test('a model that nobody uses for the idle timeout is unloaded; one in use stays', async (t) => {
  const { registry, ids } = await openRegistry(t, { idleTimeoutMs: 40 });
  using _held = await use(registry, 'ann');
  await load(registry, 'bob');
  await until('the idle model is unloaded', () => ids().length === 1);
  assert.deepEqual(ids(), ['ann']);
});

test('an unload waits for the users, and those who come meanwhile get a new load', async (t) => {
  const { registry } = await openRegistry(t, {});
  const held = await use(registry, 'ann');
  registry.unload('ann');
  const next = use(registry, 'ann');
  await runOnce(held.model);
  assert.ok(registry.loaded().has('ann'));
  held[Symbol.dispose]();
  assert.notEqual((await next).model, held.model);
  await unload(registry, 'bob');
});
