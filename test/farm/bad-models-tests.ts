import assert from 'node:assert/strict';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import type { TestFarm } from '../support/farm.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/**
 * Writes wrong files of a model.
 * @returns entries of `models:` that name them, the broken ones and `good`.
 */
export async function badModels(folder: string): Promise<Record<string, object>> {
  await buildSmallAvatar();
  const write = async (name: string, text: string) => {
    await writeFile(path.join(folder, name), text);
    return path.join(folder, name);
  };
  const rects = JSON.parse(await readFile(SMALL_MODEL.crop_rects_path, 'utf8')) as number[][];
  const outside = rects.map((rect, index) => (index === 3 ? [40, 20, 80, 60] : rect));
  return {
    good: SMALL_MODEL,
    garbage: { ...SMALL_MODEL, model_path: await write('garbage.onnx', 'this is no ONNX file') },
    spoilt: { ...SMALL_MODEL, model_path: await write('spoilt.onnx', 'neither is this') },
    shapes: { ...SMALL_MODEL, model_path: SMALL_MODEL.audio_encoder_path },
    frameless: { ...SMALL_MODEL, background_dir: path.join(folder, 'nowhere') },
    rectless: { ...SMALL_MODEL, crop_rects_path: await write('few.json', JSON.stringify(rects.slice(0, 5))) },
    outside: { ...SMALL_MODEL, crop_rects_path: await write('outside.json', JSON.stringify(outside)) },
  };
}

/** Tests of a farm with one GPU, segments of 5 frames, and the models that `badModels` wrote to `folder`. */
export function describeBadModels(farm: TestFarm, folder: string): void {
  describe('a model that is wrong', () => {
    let speech = '';

    before(async () => {
      speech = path.join(folder, 'speech.wav');
      // One segment, which fails once.
      await writeWav(speech, syllables(0.2));
    });

    const refused = [
      { model: 'frameless', because: /nowhere/ },
      { model: 'rectless', because: /few\.json.*5/ },
      { model: 'outside', because: /outside\.json.*64/ },
    ];
    for (const { model, because } of refused) {
      it(`is refused at once when its files show it: ${model}`, async () => {
        await assert.rejects(farm.client.submit(speech, { modelId: model }), {
          code: 'model_unusable',
          message: because,
        });
      });
    }

    const failing = [
      { model: 'garbage', because: /garbage\.onnx/ },
      { model: 'shapes', because: /audio_encoder\.onnx.*input/s },
    ];
    for (const { model, because } of failing) {
      it(`fails its own renders, with the reason, when loading shows it: ${model}`, async () => {
        const { id } = await farm.client.submit(speech, { modelId: model });
        await assert.rejects(farm.client.finished(id), { code: 'model_unusable', message: because });
      });
    }

    it('is blocked when it has failed three times in a row, and taken up again when it works after all', async () => {
      const rendered = async () => {
        const { id } = await farm.client.submit(speech, { modelId: 'spoilt' });
        return await farm.client.finished(id);
      };
      const blocked = async () => {
        const [gpu] = (await farm.client.gpus()).gpus;
        return gpu?.models.find(({ model_id }) => model_id === 'spoilt')?.blocked;
      };
      for (let time = 1; time <= 2; time++) await assert.rejects(rendered, { code: 'model_unusable' });
      assert.equal(await blocked(), null);
      await assert.rejects(rendered, { code: 'model_unusable' });
      await until('the third failure is known', async () => (await blocked())?.code === 'model_unusable');
      // The only GPU there is tries all the same.
      await assert.rejects(rendered, { code: 'model_unusable', message: /spoilt\.onnx/ });
      await copyFile(SMALL_MODEL.model_path, path.join(folder, 'spoilt.onnx'));
      assert.equal((await rendered()).status, 'completed');
      await until('it is taken up again', async () => (await blocked()) === null);
    });

    it('does not keep the others from working', async () => {
      const { id } = await farm.client.submit(speech, { modelId: 'good' });
      assert.equal((await farm.client.finished(id)).status, 'completed');
    });
  });
}
