import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import sharp from 'sharp';
import { Compositor } from '../../worker/compositor/compositor.ts';
import { LARGEST_SIDE } from '../../worker/compositor/contract.ts';
import type { NetworkSize, Rect } from '../../worker/pipeline/contract.ts';
import { type Case, decoded, drawFrom, framePixels, makeCase, preparedPicture, throughLibjpeg } from './cases.ts';

/** The size of real avatars, and one near it that leaves part of an MCU on both edges. */
const SIZES = [
  [1280, 720, 320],
  [1277, 719, 160],
] as const;
/** Set, pictures of 4096×4096 are tried too, which takes half a minute. */
const LARGE = process.env.COMPOSITOR_LARGE !== undefined;
const compositor = new Compositor();

describe('a patched JPEG', () => {
  it('of the size of an avatar is what libjpeg makes of the frame, wherever the mouth is', async () => {
    for (const [width, height, size] of SIZES) await assertExactWherever(width, height, size);
  });

  it('of 4096x4096 is, too', { skip: !LARGE && 'set COMPOSITOR_LARGE=1' }, async () => {
    await assertExactWherever(4096, 4096, 320);
  });

  it('is read by another decoder without a warning, as the same picture', async () => {
    for (const [width, height, size] of [
      [177, 131, 160],
      [640, 360, 320],
    ] as const) {
      const example = makeCase({ width, height }, { x1: 33, y1: 21, x2: 131, y2: 119 }, 80, size, drawFrom(width));
      const jpeg = compositor.jpeg(preparedPicture(compositor, example), example.mouth);
      const raw = { width, height, channels: 3 } as const;
      const whole = sharp(framePixels(compositor, example), { raw }).jpeg({ quality: 80, optimiseCoding: false });
      assert.ok(decodedByFfmpeg(jpeg).equals(decodedByFfmpeg(await whole.toBuffer())));
    }
  });

  it('is written into the memory that is given for it', () => {
    const example = makeCase({ width: 64, height: 48 }, { x1: 9, y1: 9, x2: 40, y2: 40 }, 75, 160, drawFrom(1));
    const picture = preparedPicture(compositor, example);
    const memory = new Uint8Array(10_000);
    const jpeg = compositor.jpeg(picture, example.mouth, () => memory);
    assert.equal(jpeg.buffer, memory.buffer);
    assert.deepEqual(Buffer.from(jpeg), Buffer.from(compositor.jpeg(picture, example.mouth)));
  });
});

describe('the compositor refuses', () => {
  it('pictures that are too large, and mouths of no network', () => {
    const large = { width: LARGEST_SIDE + 1, height: 1, data: new Uint8Array(3 * (LARGEST_SIDE + 1)) };
    assert.throws(() => compositor.encodeBackground(large, { x1: 0, y1: 0, x2: 1, y2: 1 }, 75), RangeError);
    const example = makeCase({ width: 64, height: 48 }, { x1: 9, y1: 9, x2: 40, y2: 40 }, 75, 160, drawFrom(1));
    const picture = preparedPicture(compositor, example);
    assert.throws(() => compositor.jpeg(picture, new Uint8Array(5)), RangeError);
    // The rim of the one network with the mouth of the other.
    const other = makeCase(example.picture, example.rect, 75, 320 satisfies NetworkSize, drawFrom(2));
    assert.throws(() => compositor.jpeg(picture, other.mouth), RangeError);
  });
});

/** Corners, the middle, a rect on the borders of MCUs, a very small one, and the whole picture. */
async function assertExactWherever(width: number, height: number, size: NetworkSize): Promise<void> {
  const square = (x1: number, y1: number, side: number) => ({ x1, y1, x2: x1 + side, y2: y1 + side });
  const rects: Rect[] = [
    ...[square(0, 0, 182), square(width - 182, height - 182, 182), square(width - 320, 0, 320)],
    ...[square(0, height - 97, 97), square(532, 210, 182), square(16, 32, 16), square(5, 7, 1)],
    { x1: 0, y1: 0, x2: width, y2: height },
  ];
  const example = makeCase({ width, height }, square(0, 0, 1), 75, size, drawFrom(width));
  for (const rect of rects) await assertExact({ ...example, rect, name: `${example.name}, at ${Object.values(rect)}` });
}

async function assertExact(example: Case): Promise<void> {
  const jpeg = compositor.jpeg(preparedPicture(compositor, example), example.mouth);
  const expected = await throughLibjpeg(example, framePixels(compositor, example));
  assert.ok(expected.equals(await decoded(jpeg)), example.name);
}

function decodedByFfmpeg(jpeg: Uint8Array): Buffer {
  const input = ['-f', 'image2pipe', '-c:v', 'mjpeg', '-i', '-'];
  const args = ['-v', 'warning', ...input, '-f', 'rawvideo', '-pix_fmt', 'yuvj420p', '-'];
  const { stdout, stderr, status } = spawnSync('ffmpeg', args, { input: jpeg, maxBuffer: 1 << 24, timeout: 60_000 });
  assert.equal(status, 0, stderr.toString());
  const warnings = stderr
    .toString()
    .split('\n')
    .filter((line) => line !== '' && !line.includes('deprecated pixel format'));
  assert.deepEqual(warnings, []);
  return stdout;
}
