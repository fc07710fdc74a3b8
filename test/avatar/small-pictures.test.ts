import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, it } from 'node:test';
import sharp from 'sharp';
import { LocalArtifacts } from '../../shared/artifacts.ts';
import { avatarPictureKeys, avatarPicturesSchema } from '../../shared/avatar-pictures.ts';
import { resolveModel } from '../../shared/config/model-config.ts';
import { modelSchema } from '../../shared/config/schema.ts';
import { writeSmallPictures } from '../../worker/avatar/small-pictures.ts';
import { buildSmallAvatar, SMALL_FACE, SMALL_MODEL, SMALL_PICTURE, SMALL_PICTURES } from '../support/small-avatar.ts';

const folder = await mkdtemp(path.join(tmpdir(), 'farm-pictures-'));
after(() => rm(folder, { recursive: true, force: true }));
const artifacts = new LocalArtifacts(folder);
const ROOTS = { configDir: '/', modelsRoot: '', audioEncoderPath: '' };
const modelOf = (entry: object) => resolveModel('ann', modelSchema.parse({ ...SMALL_MODEL, ...entry }), ROOTS);
const listOf = async () =>
  avatarPicturesSchema.parse(JSON.parse(await readFile(artifacts.localPath(avatarPictureKeys.list('ann')), 'utf8')));

it('writes small pictures of an avatar, once for each version of it', async () => {
  await buildSmallAvatar();
  assert.equal(await writeSmallPictures(modelOf({}), artifacts), true);
  const list = await listOf();
  const { version, pictures, ...facts } = list;
  assert.deepEqual(facts, { ...SMALL_PICTURE, total: SMALL_PICTURES });
  assert.deepEqual(
    pictures,
    [...Array(SMALL_PICTURES).keys()].map((index) => ({ index, rect: SMALL_FACE })),
  );
  const first = artifacts.localPath(avatarPictureKeys.picture('ann', version, 0));
  const { format, width } = await sharp(first).metadata();
  assert.deepEqual([format, width], ['jpeg', SMALL_PICTURE.width], 'never larger than its own picture');
  await utimes(first, 1, 1);
  await writeSmallPictures(modelOf({}), artifacts);
  assert.equal((await stat(first)).mtimeMs, 1000, 'it was not written again');
  await writeSmallPictures(modelOf({ num_frames: 2 }), artifacts);
  assert.equal((await listOf()).total, 2);
  const files = await readdir(artifacts.localPath(avatarPictureKeys.folder('ann')));
  assert.equal(files.length, 3, 'those of the version before have gone');
});

it('says what is wrong with an avatar that has no pictures', async () => {
  const model = modelOf({ background_dir: path.join(folder, 'nowhere') });
  await assert.rejects(writeSmallPictures(model, artifacts), { code: 'model_unusable' });
});
