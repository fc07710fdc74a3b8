import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import sharp from 'sharp';
import { extractFrames } from '../../worker/avatar/extract-frames.ts';
import { ffmpeg, lavfi } from '../media/media-files.ts';
import { openWorkspace } from '../models/workspace.ts';
import { until } from '../support/until.ts';
import { placesIn, QUARTER_TURN, showTurned, upTo, writeVideo } from './videos.ts';

const GOING_ON = new AbortController().signal;

/** A folder of its own with a video in it, and where its pictures shall go. */
async function open(t: TestContext, frames = 8, rate?: number) {
  const { folder } = await openWorkspace(t);
  const video = await writeVideo(join(folder, 'ann.mp4'), { frames, rate });
  return { folder, video, target: join(folder, 'frames') };
}

test('every picture of a video of 25 frames a second becomes one file, numbered from 0', async (t) => {
  const { video, target } = await open(t);
  assert.equal(await extractFrames(video, target, {}, GOING_ON), 8);
  const names = await readdir(target);
  assert.deepEqual(
    names.sort(),
    upTo(8).map((index) => `frame_00000${index}.jpg`),
  );
  assert.deepEqual(await placesIn(target), upTo(8));
});

test('PNG keeps every picture exactly', async (t) => {
  const { video, target } = await open(t, 3);
  assert.equal(await extractFrames(video, target, { format: 'png' }, GOING_ON), 3);
  assert.deepEqual((await readdir(target)).sort()[2], 'frame_000002.png');
  assert.deepEqual(await placesIn(target), upTo(3));
});

test('a limit takes the first pictures only', async (t) => {
  const { video, target } = await open(t);
  assert.equal(await extractFrames(video, target, { frameLimit: 5 }, GOING_ON), 5);
  assert.deepEqual(await placesIn(target), upTo(5));
});

test('a video of another rate is brought to 25 frames a second, so that its speed stays', async (t) => {
  const { folder, video, target } = await open(t, 20, 50);
  assert.equal(await extractFrames(video, target, {}, GOING_ON), 10);
  const places = await placesIn(target);
  for (const [index, place] of places.entries()) assert.ok(Math.abs(place - 2 * index) <= 1, `${places}`);
  const slow = await writeVideo(join(folder, 'slow.mp4'), { frames: 5, rate: 12.5 });
  assert.equal(await extractFrames(slow, join(folder, 'slow'), {}, GOING_ON), 10);
});

test('JPEG pictures have the colours of a BT.709 video', async (t) => {
  const { folder } = await openWorkspace(t);
  const video = join(folder, 'red.mp4');
  const convert = 'scale=out_color_matrix=bt709:out_range=tv,format=yuv420p';
  const tags = ['-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709', '-color_range', 'tv'];
  const coding = ['-c:v', 'libx264', '-qp', '0', ...tags];
  await ffmpeg(...lavfi('color=0xC83C28:s=64x48:r=25'), '-frames:v', '1', '-vf', convert, ...coding, video);
  for (const format of ['jpg', 'png'] as const) {
    const target = join(folder, format);
    await extractFrames(video, target, { format }, GOING_ON);
    const { channels } = await sharp(join(target, `frame_000000.${format}`)).stats();
    for (const [index, expected] of [0xc8, 0x3c, 0x28].entries()) {
      const { mean = 0 } = channels[index] ?? {};
      assert.ok(Math.abs(mean - expected) <= 3, `${format}: ${channels.map((channel) => channel.mean)}`);
    }
  }
});

test('the pictures of a video that was filmed on its side are upright', async (t) => {
  const { folder } = await openWorkspace(t);
  const video = join(folder, 'side.mp4');
  const halves = 'color=white:s=64x48:r=25,drawbox=w=32:h=48:color=black:t=fill';
  await ffmpeg(...lavfi(halves), '-frames:v', '2', '-c:v', 'libx264', '-pix_fmt', 'yuv420p', video);
  await showTurned(video, QUARTER_TURN);
  for (const format of ['jpg', 'png'] as const) {
    const target = join(folder, format);
    await extractFrames(video, target, { format }, GOING_ON);
    const picture = sharp(join(target, `frame_000000.${format}`)).greyscale();
    const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
    assert.deepEqual([info.width, info.height], [48, 64], format);
    // The black half was on the left, so it comes to lie at the top.
    assert.ok((data[24] ?? 255) < 20 && (data.at(-24) ?? 0) > 235, format);
  }
});

test('hidden files in the folder stay, and its name may hold a percent sign and spaces', async (t) => {
  const { folder, video } = await open(t, 2);
  const target = join(folder, '100%d of ann');
  await mkdir(target);
  await writeFile(join(target, '.gitkeep'), 'kept');
  assert.equal(await extractFrames(video, target, {}, GOING_ON), 2);
  assert.deepEqual((await readdir(target)).sort(), ['.gitkeep', 'frame_000000.jpg', 'frame_000001.jpg']);
  assert.equal(await readFile(join(target, '.gitkeep'), 'utf8'), 'kept');
});

test('a folder with other files is left as it is', async (t) => {
  const { folder, video, target } = await open(t, 2);
  await mkdir(target);
  await writeFile(join(target, 'image-1.png'), '');
  await assert.rejects(extractFrames(video, target, {}, GOING_ON), {
    code: 'model_unusable',
    message: /frames must be empty .* it has image-1\.png/,
  });
  assert.deepEqual(await readdir(target), ['image-1.png']);
  assert.deepEqual((await readdir(folder)).sort(), ['ann.mp4', 'frames']);
});

const UNREADABLE: [string, (path: string) => Promise<void>, RegExp][] = [
  [
    'text',
    (path) => writeFile(path, 'not a video'),
    /bad\.mp4 cannot be read: it is in no video format that is taken, or damaged/,
  ],
  ['a file that is not there', async () => {}, /bad\.mp4 cannot be read: ENOENT/],
  [
    'sound alone',
    (path) => ffmpeg(...lavfi('sine=duration=1'), path),
    /bad\.mp4 has no picture: expected a video of the avatar, not sound/,
  ],
  ['a video that was cut off', cutOffVideo, /bad\.mp4 is not whole: it was cut off: it has \d+ bytes of \d+; copy/],
];
for (const [what, write, message] of UNREADABLE) {
  test(`${what} is refused with its path, and nothing is left behind`, async (t) => {
    const { folder } = await openWorkspace(t);
    const video = join(folder, 'bad.mp4');
    await write(video);
    const before = await readdir(folder);
    await assert.rejects(extractFrames(video, join(folder, 'frames'), {}, GOING_ON), {
      code: 'model_unusable',
      message,
    });
    assert.deepEqual(await readdir(folder), before);
  });
}

async function cutOffVideo(path: string): Promise<void> {
  const whole = await writeVideo(join(dirname(path), 'whole.mp4'), { frames: 30 });
  const { size } = await stat(whole);
  await writeFile(path, (await readFile(whole)).subarray(0, size - 1000));
}

test('a folder that cannot be made is a fault of the storage', async (t) => {
  const { video, folder } = await open(t, 2);
  await writeFile(join(folder, 'file'), '');
  await assert.rejects(extractFrames(video, join(folder, 'file', 'frames'), {}, GOING_ON), { code: 'storage_failed' });
});

test('an extraction that is aborted leaves nothing behind', async (t) => {
  const { folder } = await openWorkspace(t);
  const video = await writeVideo(join(folder, 'long.mp4'), { frames: 200, size: '1280:720' });
  const controller = new AbortController();
  const extraction = extractFrames(video, join(folder, 'frames'), { format: 'png' }, controller.signal);
  const pictures = async () => {
    const draft = (await readdir(folder)).find((name) => name.startsWith('.frames.'));
    return draft === undefined ? 0 : (await readdir(join(folder, draft))).length;
  };
  await until('pictures are being written', async () => (await pictures()) > 2);
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(extraction, reason);
  assert.deepEqual(await readdir(folder), ['long.mp4']);
});
