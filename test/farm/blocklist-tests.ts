import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { GpuView } from '../../shared/views/gpu-view.ts';
import { endProcess } from '../gpu/gpu-process.ts';
import { whileDrained } from '../support/drained-gpus.ts';
import type { TestFarm } from '../support/farm.ts';
import { RedisProxy } from '../support/redis-proxy.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';
import { describeMovingStreams } from './moving-streams-tests.ts';
import { gpuOnce, gpusThatRender, startSecondWorker } from './second-worker.ts';

/** Tests of a farm with segments of 5 frames and the models of broken-models.test.ts, not loaded yet. */
export function describeBlocklist(farm: TestFarm): void {
  describe('a GPU whose files of a model are broken', () => {
    let broken: ChildProcess;
    let speech = '';
    let proxy: RedisProxy;

    before(async () => {
      speech = path.join(farm.folder, 'speech.wav');
      await writeWav(speech, syllables(1.6));
      const garbage = path.join(farm.folder, 'garbage.onnx');
      await writeFile(garbage, 'this is no ONNX file');
      // White space changes no picture, and the hash.
      const rects = path.join(farm.folder, 'rects.json');
      await writeFile(rects, `${await readFile(SMALL_MODEL.crop_rects_path, 'utf8')}\n`);
      proxy = new RedisProxy(farm.farm.redisUrl);
      const own = {
        small: { ...SMALL_MODEL, model_path: garbage },
        differing: { ...SMALL_MODEL, crop_rects_path: rects },
      };
      broken = await startSecondWorker(farm, 7, own, await proxy.open('GPU 7'));
    });
    after(async () => {
      await endProcess(broken, 'SIGTERM');
      await proxy[Symbol.asyncDispose]();
    });

    /** Renders until the broken model is blocked; says as what. */
    const failUntilBlocked = async () => {
      const isBlocked = ({ models }: GpuView) => models.some((model) => model.blocked);
      while (!isBlocked(await gpuOnce(farm, 7, 'there', () => true))) {
        // While nobody holds the model, its segments are spread over both.
        await farm.client.unloadModel('small').catch(() => {});
        await gpusThatRender(farm, speech, 'small');
      }
      const { models } = await gpuOnce(farm, 7, 'blocked', isBlocked);
      return models.find(({ model_id }) => model_id === 'small')?.blocked;
    };

    it('fails no render: what it cannot do is done by another', async () => {
      // Nobody holds the model, so the segments are spread over both.
      assert.deepEqual(await gpusThatRender(farm, speech, 'small'), new Set([0]));
    });

    it('blocks the model after three failures in a row, and says why', async () => {
      const blocked = await failUntilBlocked();
      assert.equal(blocked?.code, 'model_unusable');
      assert.match(blocked?.reason ?? '', /garbage\.onnx/);
    });

    it('goes on with its other models', async () => {
      await until('it renders one', async () => {
        await farm.client.unloadModel('fine').catch(() => {});
        return (await gpusThatRender(farm, speech, 'fine')).has(7);
      });
    });

    it('fails with the reason what no other GPU takes', async () => {
      await whileDrained(farm, [0], async () => {
        const { id } = await farm.client.submit(speech, { modelId: 'small' });
        await assert.rejects(farm.client.finished(id), { code: 'model_unusable', message: /garbage\.onnx/ });
      });
    });

    it('loads a model on the GPU that is named, also on one that was resumed a moment ago', async () => {
      // The model prefers GPU 7.
      const withoutWish = async () => (await farm.client.loadModel('elsewhere')).gpu;
      await whileDrained(farm, [7], async () => {
        await until('the front end has seen the drain', async () => (await withoutWish()) === 0);
      });
      assert.equal((await farm.client.loadModel('elsewhere', 7)).gpu, 7);
    });

    it('is asked once to load what it cannot, when it is named', async () => {
      // More failures in a row than these two would have the model blocked.
      for (const time of ['first', 'second']) {
        const load = farm.client.loadModel('small', 7);
        await assert.rejects(load, { code: 'model_unusable', message: /garbage\.onnx/ }, `the ${time} time`);
      }
    });

    it('has a model that was loaded unloaded at once, however slow its way to Redis is', async () => {
      const models = ['fine', 'elsewhere'];
      for (const id of models) await farm.client.unloadModel(id).catch(() => {});
      proxy.line('GPU 7').slow(300);
      try {
        // The second is loaded while the heartbeat that tells of the first is under way.
        const unloaded = models.map(async (id) => {
          await farm.client.loadModel(id, 7);
          return (await farm.client.unloadModel(id)).gpus;
        });
        assert.deepEqual(await Promise.all(unloaded), [[7], [7]]);
      } finally {
        proxy.line('GPU 7').open();
      }
    });

    it('is refused a model whose files differ from those that another has in memory, with both hashes', async () => {
      await farm.client.loadModel('differing', 0);
      await whileDrained(farm, [0], async () => {
        const load = farm.client.loadModel('differing', 7);
        const on = `[0-9a-f]{12} on ${hostname()}`;
        const message = new RegExp(`differing hash to ${on} \\(gpu-7-\\w+\\), and to ${on} \\(gpu-0-`);
        await assert.rejects(load, { code: 'model_files_differ', message });
      });
    });

    it('tries again when it is resumed', async () => {
      await failUntilBlocked();
      const { models } = await farm.client.resumeGpu(7);
      assert.ok(models.some(({ model_id }) => model_id === 'small'));
      await gpuOnce(farm, 7, 'as new', ({ models }) => models.every(({ blocked }) => blocked === null));
    });

    describeMovingStreams(farm, () => broken);
  });
}
