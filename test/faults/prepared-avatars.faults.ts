import assert from 'node:assert/strict';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { farmSays, KeyFarm } from '../config/key-farm.ts';
import { writeParts } from '../config/pictures.ts';
import { writePicture } from '../prepared/sources.ts';
import { until } from '../support/until.ts';

/** As many pixels in all as are worth a process of their own. */
const PICTURES = 10;
const SIZE = { width: 640, height: 360 };
const RECT = [200, 100, 300, 200] as const;
/** Another mouth in the third picture alone. */
const OTHER_RECT = [210, 100, 310, 200] as const;

describe('prepared avatars of a farm', () => {
  let farm: KeyFarm;
  const place = (...names: string[]) => path.join(farm.folder, ...names);
  const writeRects = async (third: readonly number[]) =>
    await writeFile(
      place('avatars', 'ann.json'),
      JSON.stringify(Array.from({ length: PICTURES }, (_, index) => (index === 2 ? third : RECT))),
    );
  const preparedShare = async () => {
    const { models } = await farm.client.models();
    return models.find(({ id }) => id === 'ann')?.loaded_on[0]?.pictures;
  };
  const allPrepared = async () => (await preparedShare())?.prepared === PICTURES;
  /** Name → inode of each prepared picture: a file that is written again has another one. */
  const preparedFiles = async () => {
    const names = await readdir(place('kept', 'prepared'), { recursive: true });
    const files = names.filter((name) => name.endsWith('.picture')).sort();
    return new Map(await Promise.all(files.map(async (name) => [name, await inodeOf(name)] as const)));
  };
  const inodeOf = async (name: string) => (await stat(place('kept', 'prepared', name))).ino;
  const linesWith = (what: string) => farm.output.filter((line) => line.includes(what));
  const settings = {
    models_root: 'avatars',
    gpus: { enabled: false },
    storage: { root: 'kept' },
    models: { ann: { model_path: 'crop.onnx', background_dir: 'noise', crop_rects_path: 'ann.json' } },
  };

  before(async () => {
    farm = await KeyFarm.prepare();
    await writeParts(place('avatars'));
    await mkdir(place('avatars', 'noise'));
    for (let index = 0; index < PICTURES; index++) {
      await writePicture(place('avatars', 'noise', `${index}.png`), index, SIZE);
    }
    await writeRects(RECT);
    await farm.up(settings);
  });
  after(() => farm[Symbol.asyncDispose]());

  let frames: readonly Buffer[];
  let files: ReadonlyMap<string, number>;

  it('are prepared beside the requests, which need not wait, and it can be seen how far they are', async () => {
    frames = await farm.frames('ann', { count: PICTURES });
    await until('all pictures are prepared', allPrepared);
    files = await preparedFiles();
    assert.equal(files.size, PICTURES);
    assert.equal(linesWith('prepared the pictures of an avatar').length, 1);
    assert.match(await farmSays('models', '--url', farm.url), /^ann +GPU 0: [\d.]+ MB, [\d.]+ ms\/frame,/m);
    assert.deepEqual(await farm.frames('ann', { count: PICTURES }), frames, 'from prepared pictures: the same bytes');
  });

  it('are found again after a restart', async () => {
    await farm.stop();
    await farm.up(settings);
    assert.deepEqual(await farm.frames('ann', { count: PICTURES }), frames);
    await until('the heartbeat says so', allPrepared);
    assert.deepEqual(await preparedFiles(), files);
    assert.deepEqual(linesWith('preparing the pictures'), []);
  });

  it('are prepared anew where the crop rects have changed, and there alone', async () => {
    await writeRects(OTHER_RECT);
    await farm.reload({});
    await until('the model left memory', async () => (await preparedShare()) === undefined);
    const changed = await farm.frames('ann', { count: PICTURES });
    const same = changed.map((frame, index) => frame.equals(frames[index] as Buffer));
    assert.deepEqual(
      same,
      frames.map((_, index) => index !== 2),
    );
    await until('all pictures are prepared', allPrepared);
    const now = await preparedFiles();
    assert.equal(now.size, PICTURES + 1);
    for (const [name, inode] of files) assert.equal(now.get(name), inode, name);
  });
});
