import assert from 'node:assert/strict';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { checkAvatarFiles, extractPictures, openAvatar, videosToExtract } from '../../worker/avatar/avatar.ts';
import { drawPicture, openWorkspace } from '../models/workspace.ts';
import { modelConfig } from '../support/model-config.ts';
import { placesIn, upTo, writeVideo } from './videos.ts';

const RECT = [4, 4, 20, 20];

interface FixtureOptions {
  readonly pictures?: number;
  readonly rects?: number[][];
  readonly frameLimit?: number;
}

/** An avatar of 32×24 pictures, numbered from 1, whose red is their index. */
async function writeAvatar(t: TestContext, options: FixtureOptions = {}): Promise<ModelConfig> {
  const { pictures = 3, rects = Array(pictures).fill(RECT), frameLimit } = options;
  const workspace = await openWorkspace(t);
  for (let red = 0; red < pictures; red += 1) {
    await workspace.write(`${String(red + 1).padStart(4, '0')}.png`, await drawPicture('png', { red }));
  }
  const cropRectsPath = await workspace.write('rects.json', JSON.stringify(rects));
  return modelConfig({ backgroundDir: workspace.folder, cropRectsPath, frameLimit });
}

test('an avatar shows its pictures and rects by frame index', async (t) => {
  const rects = [RECT, [0, 0, 8, 8], [5, 6, 7, 8]];
  const avatar = await openAvatar(await writeAvatar(t, { rects }));
  assert.deepEqual([avatar.modelId, avatar.frameCount, avatar.width, avatar.height], ['ann', 3, 32, 24]);
  assert.deepEqual(avatar.rect(2), { x1: 5, y1: 6, x2: 7, y2: 8 });
  for (const index of [0, 1, 2]) assert.equal((await avatar.background(index)).data[0], index);
});

test('an index outside the avatar is a fault of the caller', async (t) => {
  const avatar = await openAvatar(await writeAvatar(t, { frameLimit: 2 }));
  assert.equal(avatar.frameCount, 2);
  assert.throws(() => avatar.rect(2), RangeError);
  await assert.rejects(avatar.background(2), RangeError);
});

const BROKEN: [string, FixtureOptions, RegExp][] = [
  ['no pictures', { pictures: 0, rects: [RECT] }, /has no pictures/],
  ['too few pictures', { frameLimit: 5 }, /has 3 pictures: expected num_frames = 5/],
  ['too few rects', { rects: [RECT] }, /rects\.json has 1 crop rects for 3 background frames/],
  ['a rect outside the picture', { rects: [RECT, [4, 4, 40, 20], RECT] }, /crop rect 1 .* outside the 32×24 picture/],
];
for (const [what, options, message] of BROKEN) {
  test(`an avatar with ${what} does not open, and the check finds the same`, async (t) => {
    const files = await writeAvatar(t, options);
    await assert.rejects(openAvatar(files), {
      code: 'model_unusable',
      message,
    });
    await assert.rejects(openAvatar(files), /^FarmError: model ann: /);
    const problems = await checkAvatarFiles(files);
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? '', message);
  });
}

test('the check finds nothing wrong with a sound avatar', async (t) => {
  assert.deepEqual(await checkAvatarFiles(await writeAvatar(t)), []);
});

test('the check lists every problem at once', async () => {
  const problems = await checkAvatarFiles(
    modelConfig({ backgroundDir: '/nowhere/frames', cropRectsPath: '/nowhere/rects.json' }),
  );
  assert.equal(problems.length, 2);
  assert.match(problems[0] ?? '', /\/nowhere\/frames/);
  assert.match(problems[1] ?? '', /\/nowhere\/rects\.json/);
});

test('the check reads the header of the first picture only', async (t) => {
  const files = await writeAvatar(t);
  const workspace = await openWorkspace(t);
  const picture = await drawPicture('png');
  // A PNG's size stands in its first 33 bytes: no pixel can be decoded from this file.
  await workspace.write('0.png', picture.subarray(0, picture.length - 20));
  await workspace.write('1.png', 'not a picture');
  const broken = modelConfig({ backgroundDir: workspace.folder, cropRectsPath: files.cropRectsPath });
  assert.deepEqual(await checkAvatarFiles(broken), []);
  await workspace.write('0.png', 'not a picture either');
  assert.match((await checkAvatarFiles(broken))[0] ?? '', /0\.png cannot be read/);
});

/** An avatar whose pictures, of 64×48, are still in a video. */
async function writeVideoAvatar(t: TestContext, frames: number) {
  const { folder, write } = await openWorkspace(t);
  const sourceVideo = await writeVideo(join(folder, 'ann.mp4'), { frames });
  const cropRectsPath = await write('rects.json', JSON.stringify(Array(3).fill(RECT)));
  return modelConfig({ backgroundDir: join(folder, 'frames'), sourceVideo, cropRectsPath });
}

test('an avatar without pictures takes them from its video when it is opened, and the check does not mind', async (t) => {
  const files = await writeVideoAvatar(t, 3);
  assert.deepEqual(await checkAvatarFiles(files), []);
  assert.deepEqual(await videosToExtract(files), [files.sourceVideo]);
  const avatar = await openAvatar(files);
  assert.deepEqual([avatar.frameCount, avatar.width, avatar.height], [3, 64, 48]);
  assert.deepEqual(await placesIn(files.backgroundDir), upTo(3));
  assert.deepEqual(await videosToExtract(files), []);
  await rm(files.sourceVideo);
  assert.deepEqual(await checkAvatarFiles(files), []);
});

test('num_frames limits what is extracted, and the folder need not be named', async (t) => {
  const files = { ...(await writeVideoAvatar(t, 8)), backgroundDir: '', frameLimit: 3 };
  assert.equal((await openAvatar(files)).frameCount, 3);
  assert.deepEqual(await checkAvatarFiles(files), []);
});

test('a video with more pictures than rects is refused before they appear, and num_frames takes the first', async (t) => {
  const files = await writeVideoAvatar(t, 8);
  const message =
    /ann\.mp4 has 8 pictures at 25 a second, for 3 crop rects in .*rects\.json: num_frames: 3 uses what is there/;
  await assert.rejects(openAvatar(files), { code: 'model_unusable', message });
  assert.equal((await openAvatar({ ...files, frameLimit: 3 })).frameCount, 3);
  // Now that they are there, they are checked as any others.
  assert.deepEqual(await checkAvatarFiles({ ...files, frameLimit: 3 }), []);
  assert.match((await checkAvatarFiles({ ...files, frameLimit: 4 })).join(), /3 pictures: expected num_frames = 4/);
});

test('a video with fewer pictures than are asked for is refused before they appear', async (t) => {
  const files = await writeVideoAvatar(t, 2);
  const folder = dirname(files.sourceVideo);
  const before = await readdir(folder);
  const refused = async (wanted: typeof files, message: RegExp) => {
    await assert.rejects(openAvatar(wanted), { code: 'model_unusable', message });
    await assert.rejects(extractPictures(wanted), { code: 'model_unusable', message });
    assert.deepEqual(await readdir(folder), before);
  };
  await refused(
    files,
    /ann\.mp4 has 2 pictures at 25 a second, for 3 crop rects in .*; num_frames: 2 uses what is there/,
  );
  await refused({ ...files, frameLimit: 3 }, /ann\.mp4 has 2 pictures at 25 a second, for num_frames = 3/);
  const faceless = { ...(await writeAvatar(t)), cropsVideo: files.sourceVideo };
  await refused(faceless, /ann\.mp4 has 2 pictures at 25 a second, for 3 background frames/);
  assert.equal((await openAvatar({ ...files, frameLimit: 2 })).frameCount, 2);
});

test('a video that is not there is a problem only where it is needed', async (t) => {
  const files = { ...(await writeVideoAvatar(t, 3)), sourceVideo: '/nowhere/ann.mp4' };
  assert.match((await checkAvatarFiles(files)).join(), /\/nowhere\/ann\.mp4 cannot be read: ENOENT/);
  const complete = { ...(await writeAvatar(t)), sourceVideo: '/nowhere/ann.mp4' };
  assert.deepEqual(await checkAvatarFiles(complete), []);
  const cropless = { ...(await writeAvatar(t)), cropsDir: '/nowhere/crops' };
  assert.match((await checkAvatarFiles(cropless)).join(), /\/nowhere\/crops/);
});
