import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { appendFile, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { GpuView } from '../../shared/views/gpu-view.ts';
import { gpuOnce, gpusThatRender, startSecondWorker } from '../farm/second-worker.ts';
import { endProcess } from '../gpu/gpu-process.ts';
import { whileDrained } from '../support/drained-gpus.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { runCli } from '../support/run-cli.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

const OTHER = 7;

describe('two workers whose files of one model differ', () => {
  let farm: TestFarm;
  let other: ChildProcess;
  let folder = '';
  /** The crop rects of each worker: white space changes no picture, and every hash. */
  const rects = { first: '', other: '' };
  let speech = '';

  before(async () => {
    await buildSmallAvatar();
    folder = await mkdtemp(path.join(tmpdir(), 'farm-model-files-'));
    for (const whose of ['first', 'other'] as const) {
      rects[whose] = path.join(folder, `${whose}.json`);
      await copyFile(SMALL_MODEL.crop_rects_path, rects[whose]);
    }
    await appendFile(rects.other, '\n');
    const modelOf = (whose: 'first' | 'other') => ({ ...SMALL_MODEL, crop_rects_path: rects[whose] });
    farm = await startFarm({ models: { small: modelOf('first') }, render: { segment_frames: 5 } });
    speech = path.join(folder, 'speech.wav');
    await writeWav(speech, syllables(1));
    other = await startSecondWorker(farm, OTHER, { small: modelOf('other') });
  });
  after(async () => {
    await endProcess(other, 'SIGTERM');
    await farm[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  const load = async (gpuId: number) => await farm.client.loadModel('small', gpuId);
  const stateOf = ({ models }: GpuView) => models.find(({ model_id }) => model_id === 'small');
  const isFine = (gpu: GpuView) => stateOf(gpu)?.problems.length === 0;
  const isIdle = (gpu: GpuView) => stateOf(gpu)?.loaded === false && isFine(gpu);
  const reload = () => {
    farm.farm.reload();
    other.kill('SIGHUP');
  };

  it('the second one is refused by name, and its work goes to the first', async () => {
    await load(0);
    const says = new RegExp(
      `small hash to [0-9a-f]{12} on ${hostname()} \\(gpu-7-\\w+\\), and to [0-9a-f]{12} on ${hostname()} \\(gpu-0-`,
    );
    await whileDrained(farm, [0], async () => {
      await assert.rejects(load(OTHER), { code: 'model_files_differ', message: says });
    });
    const seen = await gpuOnce(farm, OTHER, 'known to differ', (gpu) => !isFine(gpu));
    assert.match(stateOf(seen)?.problems.join() ?? '', says);
    const { models } = await farm.client.models();
    assert.deepEqual([models[0]?.usable, says.test(models[0]?.problems.join() ?? '')], [true, true]);
    assert.deepEqual(await gpusThatRender(farm, speech, 'small'), new Set([0]));
    const list = runCli('models', '--url', farm.url);
    assert.equal(await list.exited, 0);
    assert.match(list.output(), new RegExp(`not on every GPU: .*${says.source}`));
  });

  it('fits again once its files are the same', async () => {
    await copyFile(rects.first, rects.other);
    other.kill('SIGHUP');
    await gpuOnce(farm, OTHER, 'as the first', isFine);
    assert.equal((await load(OTHER)).was_loaded, false);
  });

  it('both have files that were replaced on both', async () => {
    for (const file of Object.values(rects)) await appendFile(file, '\n\n');
    reload();
    for (const gpuId of [0, OTHER]) await gpuOnce(farm, gpuId, 'without the old files', isIdle);
    const loads = await Promise.all([load(0), load(OTHER)]);
    assert.deepEqual(
      loads.map(({ was_loaded }) => was_loaded),
      [false, false],
    );
  });

  it('the one that had a model first decides, and when it dies, the other', async () => {
    await appendFile(rects.other, '\n');
    reload();
    await gpuOnce(farm, OTHER, 'without the old files', isIdle);
    await farm.client.unloadModel('small').catch(() => {});
    await gpuOnce(farm, 0, 'without the model', isIdle);
    await load(OTHER);
    await assert.rejects(load(0), { code: 'model_files_differ' });
    await gpuOnce(farm, 0, 'known to differ', (gpu) => !isFine(gpu));
    await endProcess(other, 'SIGKILL');
    await gpuOnce(farm, 0, 'alone', isFine);
    assert.deepEqual(await gpusThatRender(farm, speech, 'small'), new Set([0]));
  });
});
