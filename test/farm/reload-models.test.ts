import assert from 'node:assert/strict';
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { TestClient } from '../grpc/clients.ts';
import { drawPicture, openWorkspace, type Workspace, writeTinyModel } from '../models/workspace.ts';
import { whileDrained } from '../support/drained-gpus.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';
import { entryOf, infer, type ModelEntry, rewriteModels } from './small-models.ts';

const PROCESSES = 3;
const SEGMENTS = 5;

describe('a configuration that changes under a running farm', () => {
  let farm: TestFarm;
  let client: TestClient;
  let entry: ModelEntry;
  /** The same model before backgrounds of another colour. */
  let brighter: ModelEntry;
  let speech = '';
  const teardown: (() => Promise<unknown>)[] = [];
  const later = { after: (fn: () => Promise<unknown>) => void teardown.push(fn) };
  let workspace: Workspace;
  /** What `models:` has now. */
  let configured: Record<string, ModelEntry> = {};

  before(async () => {
    workspace = await openWorkspace(later);
    entry = entryOf(await writeTinyModel(workspace));
    const bright = await openWorkspace(later);
    brighter = { ...entryOf(await writeTinyModel(bright)), background_dir: bright.folder };
    for (const index of [0, 1, 2])
      await bright.write(`frame_00000${index}.png`, await drawPicture('png', { red: 200 }));
    speech = path.join(workspace.folder, 'speech.wav');
    await writeWav(speech, syllables(1));
    configured = { ann: entry, bob: entry };
    farm = await startFarm({
      models: configured,
      limits: { live_wait_seconds: 60 },
      render: { segment_frames: 5 },
    });
    client = new TestClient(farm.grpcAddress);
  });
  after(async () => {
    client.close();
    await farm[Symbol.asyncDispose]();
    await Promise.all(teardown.map((fn) => fn()));
  });

  const frameOf = async (id: string) => {
    const { success, error, composited_frames } = await infer(client, id);
    assert.ok(success, `${id}: ${error}`);
    return composited_frames[0] as Buffer;
  };
  /** Gives the farm these models and waits until every process has them. */
  const have = async (models: Record<string, ModelEntry>) => {
    if (isDeepStrictEqual(models, configured)) return;
    const before = reloads();
    await configure(models);
    await until('every process has reloaded', () => reloads() === before + PROCESSES);
  };
  const configure = async (models: Record<string, ModelEntry>, others: Record<string, object> = {}) => {
    configured = models;
    await rewriteModels(farm, models, others);
  };
  /** A render that was planned, and none of it made, when these models came. */
  const plannedBefore = (models: Record<string, ModelEntry>, modelId: string) =>
    whileDrained(farm, [0], async () => {
      const { id } = await farm.client.submit(speech, { modelId, output: 'frames' });
      await until('it is planned', async () => (await farm.client.get(id)).status === 'rendering');
      await have(models);
      return id;
    });
  const listed = async () => (await farm.client.models()).models.map(({ id }) => id);
  const reloads = () => farm.log.filter((line) => line.includes('configuration reloaded')).length;

  it('has a new entry that is usable at once', async () => {
    await configure({ ann: entry, bob: entry, cleo: entry });
    assert.equal((await farm.client.loadModel('cleo', 0)).gpu, 0);
    assert.ok((await frameOf('cleo')).length > 0);
    const { id } = await farm.client.submit(speech, { modelId: 'cleo', output: 'frames' });
    assert.equal((await farm.client.finished(id)).frames.done, 25);
    await until('every process knows it', () => reloads() === PROCESSES);
    assert.deepEqual(await listed(), ['ann', 'bob', 'cleo']);
  });

  it('serves a changed entry from its new files, and answers every request on the way', async () => {
    const [old, young] = [await frameOf('ann'), Buffer.alloc(0)];
    let newest: Buffer = young;
    const seen: Buffer[] = [];
    const callers = Array.from({ length: 2 }, async () => {
      while (newest === young) seen.push(await frameOf('ann'));
    });
    const renders = await Promise.all(
      [1, 2, 3].map(() => farm.client.submit(speech, { modelId: 'ann', output: 'frames' })),
    );
    const before = reloads();
    await configure({ ann: brighter, bob: entry, cleo: entry });
    await until('new frames come', async () => {
      const frame = await frameOf('ann');
      if (!frame.equals(old)) newest = frame;
      return newest !== young;
    });
    await Promise.all(callers);
    assert.ok(seen.every((frame) => frame.equals(old) || frame.equals(newest)));
    assert.deepEqual(await frameOf('ann'), newest);
    for (const { id } of renders) assert.equal((await farm.client.finished(id)).status, 'completed');
    await until('every process has reloaded', () => reloads() === before + PROCESSES);
  });

  it('finishes a render with the entry that it was planned with', async () => {
    await have({ ann: brighter, bob: entry, cleo: entry });
    const id = await plannedBefore({ ann: entry, bob: entry, cleo: entry }, 'ann');
    await farm.client.finished(id);
    const { segments, model_files } = await farm.client.receipt(id);
    assert.equal(segments.length, SEGMENTS);
    assert.deepEqual(
      model_files.map((file) => file.path),
      [brighter.model_path, brighter.audio_encoder_path, brighter.crop_rects_path],
    );
  });

  it('unloads a removed entry, refuses it from then on and leaves the others alone', async () => {
    await frameOf('bob');
    const id = await plannedBefore({ ann: entry, cleo: entry }, 'bob');
    const why = /configuration has no model "bob"/;
    await assert.rejects(farm.client.finished(id), { code: 'model_unknown', message: why });
    await until('the front end no longer lists it', async () => !(await listed()).includes('bob'));
    assert.match((await infer(client, 'bob')).error, /model_unknown: .*"bob"; configured: ann, cleo/);
    await assert.rejects(farm.client.submit(speech, { modelId: 'bob' }), { code: 'model_unknown' });
    assert.deepEqual(await listed(), ['ann', 'cleo']);
    await until('its memory is free', async () => {
      const [{ models }, { gpus }] = await Promise.all([farm.client.models(), farm.client.gpus()]);
      const inMemory = gpus[0]?.models.filter(({ loaded }) => loaded).length;
      return inMemory === models.filter(({ loaded_on }) => loaded_on.length > 0).length;
    });
    await frameOf('cleo');
  });

  it('keeps the old configuration when the file is wrong, and says why', async () => {
    const file = path.join(farm.folder, 'config.yaml');
    await rename(file, `${file}.good`);
    try {
      await writeFile(file, 'models:\n  ann:\n    modle_path: x\n');
      const faults = () => farm.log.filter((line) => /not reloaded.*|modle_path/.test(line)).length;
      await until('every process has refused it', () => faults() >= PROCESSES);
      assert.ok(farm.log.some((line) => line.includes('models.ann.modle_path: unknown key')));
      await frameOf('ann');
    } finally {
      await rename(`${file}.good`, file);
    }
  });

  it('names changed keys that need a restart', async () => {
    await configure({ ann: entry, cleo: entry }, { capacity: { max_models: 9 } });
    const named = () => farm.log.filter((line) => /needs a restart/.test(line)).length;
    await until('every process has named the key', () => named() === PROCESSES);
    assert.ok(farm.log.some((line) => /"keys":\["capacity\.max_models"\]/.test(line)));
    assert.equal((await farm.client.gpus()).gpus[0]?.max_models, 100);
  });

  it('sees files that were replaced in their place when it is told to reload', async () => {
    await have({ ann: entry, cleo: entry });
    const old = await frameOf('cleo');
    for (const index of [0, 1, 2]) {
      const picture = await workspace.write('new.png', await drawPicture('png', { red: 90 }));
      await rename(picture, path.join(workspace.folder, `frame_00000${index}.png`));
    }
    assert.deepEqual(await frameOf('cleo'), old);
    farm.farm.reload();
    await until('the new pictures are used', async () => !(await frameOf('cleo')).equals(old));
  });

  it('lets a model be loaded and unloaded by hand', async () => {
    await have({ ann: entry, cleo: entry });
    const loadedOn = async () => (await farm.client.models()).models.find(({ id }) => id === 'cleo')?.loaded_on ?? [];
    await farm.client.loadModel('cleo', 0);
    await until('it is loaded', async () => (await loadedOn()).length === 1);
    await farm.client.unloadModel('cleo');
    assert.deepEqual(await loadedOn(), []);
    const { gpu, was_loaded, load_ms } = await farm.client.loadModel('cleo', 0);
    assert.deepEqual([gpu, was_loaded], [0, false]);
    assert.ok(load_ms > 0);
    const bare = await fetch(`${farm.url}/v1/models/cleo/load`, { method: 'POST' });
    assert.deepEqual(await bare.json(), { id: 'cleo', gpu: 0, was_loaded: true, load_ms: 0 });
    await until('it is shown', async () => (await loadedOn()).length === 1);
    assert.deepEqual(await farm.client.unloadModel('cleo'), { id: 'cleo', gpus: [0] });
    await assert.rejects(farm.client.loadModel('cleo', 7), {
      code: 'request_invalid',
      message: /GPU 7 .*those that can: 0/,
    });
    await assert.rejects(farm.client.loadModel('nobody'), { code: 'model_unknown' });
    await assert.rejects(farm.client.unloadModel('cleo'), { code: 'request_invalid', message: /not loaded/ });
  });
});
