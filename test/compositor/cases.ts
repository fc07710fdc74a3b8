import sharp from 'sharp';
import { cutArea } from '../../worker/compositor/area-layout.ts';
import { type FrameCompositor, type PreparedPicture, rimBytes } from '../../worker/compositor/contract.ts';
import { mouthBytes, type NetworkSize, type Rect, type RgbImage } from '../../worker/pipeline/contract.ts';

/** A picture, a rect in it, and what the network says belongs there. */
export interface Case {
  readonly name: string;
  readonly picture: RgbImage;
  readonly rect: Rect;
  readonly quality: number;
  readonly rim: Uint8Array;
  readonly mouth: Uint8Array;
  /** Of the mouth in each pixel of the rect; all of it when absent. */
  readonly weights?: Uint8Array;
}

/** Whole numbers from 0 up to and without `limit`, the same ones for the same seed. */
export type Draw = (limit: number) => number;

export function drawFrom(seed: number): Draw {
  let state = seed;
  return (limit) => {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** Pixels from smooth to wild, so that short and long codes occur, and bytes of 255 among them. */
export function fillPixels(data: Uint8Array, width: number, draw: Draw): void {
  const noise = [0, 8, 60, 255][draw(4)] as number;
  const [period, slope] = [5 + draw(90), draw(40) / 20];
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const smooth = 128 + 100 * Math.sin((x + slope * y) / period + (i % 3));
    data[i] = Math.min(Math.max(smooth + (noise === 0 ? 0 : draw(noise) - noise / 2), 0), 255);
  }
}

/** A random case; every fifth rect is the whole picture or lies on an edge. */
export function randomCase(seed: number, largest = 240): Case {
  const draw = drawFrom(seed);
  const [width, height] = [1 + draw(largest), 1 + draw(largest)];
  const rect = randomRect(width, height, draw);
  const quality = [1, 100, 30 + draw(66), 30 + draw(66), 75][draw(5)] as number;
  const size: NetworkSize = draw(3) === 0 ? 320 : 160;
  const weights = randomWeights((rect.x2 - rect.x1) * (rect.y2 - rect.y1), draw);
  return { ...makeCase({ width, height }, rect, quality, size, draw), ...(weights && { weights }) };
}

/** None, weights of all sizes, or stretches of the ends alone, as masks have them. */
function randomWeights(count: number, draw: Draw): Uint8Array | undefined {
  const kind = draw(4);
  if (kind === 0) return undefined;
  const stretch = 1 + draw(40);
  let value = 255;
  return Uint8Array.from({ length: count }, (_, place) => {
    if (kind === 1) return draw(256);
    if (place % stretch === 0) value = draw(2) * 255;
    return value;
  });
}

export function makeCase(
  { width, height }: { width: number; height: number },
  rect: Rect,
  quality: number,
  size: NetworkSize,
  draw: Draw,
): Case {
  const picture = { width, height, data: new Uint8Array(width * height * 3) };
  fillPixels(picture.data, width, draw);
  const [rim, mouth] = [new Uint8Array(rimBytes(size)), new Uint8Array(mouthBytes(size))];
  fillPixels(rim, size, draw);
  fillPixels(mouth, size, draw);
  const name = `${width}x${height}, rect ${Object.values(rect).join()}, network ${size}, quality ${quality}`;
  return { name, picture, rect, quality, rim, mouth };
}

function randomRect(width: number, height: number, draw: Draw): Rect {
  const [w, h] = [1 + draw(width), 1 + draw(height)];
  const [right, bottom] = [width - w, height - h];
  const [x1, y1] = [
    [draw(right + 1), draw(bottom + 1)],
    [0, draw(bottom + 1)],
    [right, draw(bottom + 1)],
    [draw(right + 1), 0],
    [draw(right + 1), bottom],
  ][draw(5)] as [number, number];
  return draw(15) === 0 ? { x1: 0, y1: 0, x2: width, y2: height } : { x1, y1, x2: x1 + w, y2: y1 + h };
}

export function preparedPicture(compositor: FrameCompositor, example: Case): PreparedPicture {
  const { picture, rect, quality, rim, weights } = example;
  const { width, height } = picture;
  const prepared = compositor.encodeBackground(picture, rect, quality);
  const area = cutArea(picture, rect, weights !== undefined);
  return { width, height, quality, rect, rim, weights, area, ...prepared };
}

/** Pixels of the finished frame. */
export function framePixels(compositor: FrameCompositor, { picture, rect, rim, weights, mouth }: Case): Uint8Array {
  const pixels = new Uint8Array(picture.data.length);
  compositor.pixels(picture, { rect, rim, weights }, mouth, pixels);
  return pixels;
}

/** What libjpeg makes of the pixels, decoded again. */
export async function throughLibjpeg({ picture, quality }: Case, pixels: Uint8Array): Promise<Buffer> {
  const { width, height } = picture;
  const raw = { width, height, channels: 3 } as const;
  return await decoded(await sharp(pixels, { raw }).jpeg({ quality, optimiseCoding: false }).toBuffer());
}

/** RGB pixels of a JPEG; a warning of the decoder is an error. */
export async function decoded(jpeg: Uint8Array): Promise<Buffer> {
  return await sharp(jpeg, { failOn: 'warning' }).removeAlpha().raw().toBuffer();
}

export function largestDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs((a[i] as number) - (b[i] as number)));
  return largest;
}

export function cutRgb({ data, width }: RgbImage, rect: Rect): Uint8Array {
  const rowBytes = (rect.x2 - rect.x1) * 3;
  const cut = new Uint8Array(rowBytes * (rect.y2 - rect.y1));
  for (let y = rect.y1; y < rect.y2; y++) {
    const from = (y * width + rect.x1) * 3;
    cut.set(data.subarray(from, from + rowBytes), (y - rect.y1) * rowBytes);
  }
  return cut;
}
