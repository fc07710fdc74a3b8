import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { GpuView } from '../../shared/views/gpu-view.ts';
import { endProcess } from '../gpu/gpu-process.ts';
import type { TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { gpuOnce, renderOn, startSecondWorker } from './second-worker.ts';

/** Tests of a farm with segments of 5 frames whose models `small` and `fine` are not loaded yet. */
export function describeBlocklist(farm: TestFarm): void {
  describe('a GPU whose files of a model are broken', () => {
    let broken: ChildProcess;
    let speech = '';

    before(async () => {
      speech = path.join(farm.folder, 'speech.wav');
      await writeWav(speech, syllables(1.6));
      const garbage = path.join(farm.folder, 'garbage.onnx');
      await writeFile(garbage, 'this is no ONNX file');
      broken = await startSecondWorker(farm, 7, { small: { ...SMALL_MODEL, model_path: garbage } });
    });
    after(async () => await endProcess(broken, 'SIGTERM'));

    /** Renders until the broken model is blocked; says as what. */
    const failUntilBlocked = async () => {
      const isBlocked = ({ models }: GpuView) => models.some((model) => model.blocked);
      while (!isBlocked(await gpuOnce(farm, 7, 'there', () => true))) {
        // While nobody holds the model, its segments are spread over both.
        await farm.client.unloadModel('small').catch(() => {});
        await renderOn(farm, speech, 'small');
      }
      const { models } = await gpuOnce(farm, 7, 'blocked', isBlocked);
      return models.find(({ model_id }) => model_id === 'small')?.blocked;
    };

    it('fails no render: what it cannot do is done by another', async () => {
      // Nobody holds the model, so the segments are spread over both.
      const { gpus } = await renderOn(farm, speech, 'small');
      assert.deepEqual(new Set(gpus), new Set([0]));
    });

    it('blocks the model after three failures in a row, and says why', async () => {
      const blocked = await failUntilBlocked();
      assert.equal(blocked?.code, 'model_unusable');
      assert.match(blocked?.reason ?? '', /garbage\.onnx/);
    });

    it('goes on with its other models', async () => {
      assert.ok((await renderOn(farm, speech, 'fine')).gpus.includes(7));
    });

    it('fails with the reason what no other GPU takes', async () => {
      await farm.client.drainGpu(0);
      await gpuOnce(farm, 0, 'drained', ({ state }) => state === 'drained');
      const { id } = await farm.client.submit(speech, { modelId: 'small' });
      await assert.rejects(farm.client.finished(id), { code: 'model_unusable', message: /garbage\.onnx/ });
      await farm.client.resumeGpu(0);
      await gpuOnce(farm, 0, 'ready', ({ state }) => state === 'ready');
    });

    it('tries again when it is resumed', async () => {
      await failUntilBlocked();
      const { models } = await farm.client.resumeGpu(7);
      assert.ok(models.some(({ model_id }) => model_id === 'small'));
      await gpuOnce(farm, 7, 'as new', ({ models }) => models.every(({ blocked }) => blocked === null));
    });
  });
}
