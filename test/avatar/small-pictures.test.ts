import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, it } from 'node:test';
import sharp from 'sharp';
import { avatarPictureKeys, avatarPicturesSchema } from '../../shared/artifacts/avatar-pictures.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { resolveModel } from '../../shared/config/model-config.ts';
import { modelSchema } from '../../shared/config/model-entry.ts';
import {
  removeUnusedSmallPictures,
  touchSmallPictures,
  writeSmallPictures,
} from '../../worker/avatar/small-pictures.ts';
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

it('notices a picture that was changed, and forgets avatars that nobody configures any more', async () => {
  const backgrounds = path.join(folder, 'backgrounds');
  await cp(SMALL_MODEL.background_dir, backgrounds, { recursive: true });
  const model = modelOf({ background_dir: backgrounds });
  await writeSmallPictures(model, artifacts);
  const before = (await listOf()).version;
  const [first = ''] = (await readdir(backgrounds)).sort();
  await cp(path.join(backgrounds, (await readdir(backgrounds)).sort()[1] ?? ''), path.join(backgrounds, first));
  await writeSmallPictures(model, artifacts);
  const { version } = await listOf();
  assert.notEqual(version, before);
  const [small, own] = await Promise.all(
    [artifacts.localPath(avatarPictureKeys.picture('ann', version, 0)), path.join(backgrounds, first)].map((file) =>
      sharp(file).stats(),
    ),
  );
  assert.ok(Math.abs((small?.channels[0]?.mean ?? 0) - (own?.channels[0]?.mean ?? -9)) < 3, 'it is the new picture');
  const list = artifacts.localPath(avatarPictureKeys.list('ann'));
  const isThere = async () => (await readdir(artifacts.localPath(avatarPictureKeys.all))).includes('ann');
  await removeUnusedSmallPictures(artifacts);
  assert.ok(await isThere());
  await utimes(list, 1, 1);
  await touchSmallPictures(['ann', 'nobody'], artifacts);
  await removeUnusedSmallPictures(artifacts);
  assert.ok(await isThere(), 'a media worker still has it configured');
  await removeUnusedSmallPictures(artifacts, -1);
  assert.equal(await isThere(), false);
});

it('says what is wrong with an avatar that has no pictures', async () => {
  const model = modelOf({ background_dir: path.join(folder, 'nowhere') });
  await assert.rejects(writeSmallPictures(model, artifacts), { code: 'model_unusable' });
});
