/**
 * What can be said of one frame before it is put together, from the network's mouth and the picture that it goes into:
 * in whole numbers, so that it is the same on every machine.
 */
import { areaLayout, placeInArea } from '../compositor/area-layout.ts';
import { type MouthPicture, mouthArea } from '../compositor/contract.ts';
import { sizeOfMouth } from '../compositor/crop.ts';
import { CROP_MARGIN } from '../pipeline/contract.ts';

export interface FrameMeasures {
  /**
   * How much of the mouth's area is dark, and how dark, in hundredths of a grey level: docs/quality.md. `NO_MOUTH` of a
   * frame that shows nothing of the network's picture.
   */
  readonly opening: number;
  /**
   * Mean square of the steps of red, green and blue across the border of the crop rect, in hundredths of a squared level.
   */
  readonly seam: number;
  /** The same of the avatar's own picture. */
  readonly background: number;
}

/** The lower middle of the network's picture, in which a mouth opens, as parts of its side. */
const MOUTH = { x1: 0.25, y1: 0.35, x2: 0.75, y2: 0.85 };
/** Every so many pixels of a network of 320² and 160² are looked at: 1600 in both. */
const STEP = { 320: 4, 160: 2 } as const;
const LEVELS = 256;
/** Lips, beard and shadows are darker than the skin by less than this many levels, the inside of a mouth by more. */
const DARK_BY = 32;
/** Places on each side of the border. */
const PLACES = 24;
const CHANNELS = 3;
/** The weight of a pixel that shows nothing but the mouth. */
const WHOLE = 255;

/** In place of an opening. */
export const NO_MOUTH = -1;

/** @param mouth [S, S, 3] RGB. RangeError for another length. */
export function measureFrame(picture: MouthPicture, mouth: Uint8Array): FrameMeasures {
  const isHidden = picture.weights?.every((weight) => weight === 0) ?? false;
  return { opening: isHidden ? NO_MOUTH : openingOf(mouth), ...seamOf(picture, mouth) };
}

const histogram = new Uint32Array(LEVELS);

/** The mean of what the samples lack of a level that is `DARK_BY` below their median; lighter ones count as 0. */
function openingOf(mouth: Uint8Array): number {
  const size = sizeOfMouth(mouth);
  const step = STEP[size];
  const [x1, y1, x2, y2] = [MOUTH.x1 * size, MOUTH.y1 * size, MOUTH.x2 * size, MOUTH.y2 * size];
  histogram.fill(0);
  let count = 0;
  for (let y = y1; y < y2; y += step) {
    for (let x = x1; x < x2; x += step, count++) {
      const level = luma(mouth, (y * size + x) * CHANNELS);
      histogram[level] = (histogram[level] as number) + 1;
    }
  }
  return Math.round((100 * darknessBelow(medianOf(count) - DARK_BY)) / count);
}

/** The level that half of the histogram's samples do not exceed. */
function medianOf(count: number): number {
  let level = 0;
  for (let below = histogram[0] as number; 2 * below < count; below += histogram[level] as number) level++;
  return level;
}

/** What the samples of the histogram lack of `light`, added up. */
function darknessBelow(light: number): number {
  let sum = 0;
  for (let level = 0; level < light; level++) sum += (histogram[level] as number) * (light - level);
  return sum;
}

/**
 * Steps from the pixels just outside the rect to those just inside the network's picture, as far as the frame shows
 * them. Outside, a frame is its background, so only the inner ends differ. Where the mouth's area ends with the rect, the rect's own first or last
 * row stands for what is outside.
 */
function seamOf(picture: MouthPicture, mouth: Uint8Array): Pick<FrameMeasures, 'seam' | 'background'> {
  const { rect, area: pixels, weights } = picture;
  const area = mouthArea(picture, rect);
  const size = sizeOfMouth(mouth);
  const [width, height, scale] = [rect.x2 - rect.x1, rect.y2 - rect.y1, size + 2 * CROP_MARGIN];
  const layout = areaLayout(picture, rect, weights !== undefined);
  const at = (x: number, y: number) =>
    placeInArea(layout, ((y - area.y1) * (area.x2 - area.x1) + x - area.x1) * CHANNELS);
  // Where in the picture a pixel of the network's picture comes to lie.
  const xOf = (column: number) => rect.x1 + Math.floor(((CROP_MARGIN + column) * width) / scale);
  const yOf = (row: number) => rect.y1 + Math.floor(((CROP_MARGIN + row) * height) / scale);
  const left = Math.max(area.x1, rect.x1 - 1);
  const right = Math.min(area.x2 - 1, rect.x2);
  const top = Math.max(area.y1, rect.y1 - 1);
  const bottom = Math.min(area.y2 - 1, rect.y2);
  const last = size - 2;
  let seam = 0;
  let background = 0;
  const add = (outside: number, column: number, row: number) => {
    const [x, y] = [xOf(column + 1), yOf(row + 1)];
    const weight = weights?.[(y - rect.y1) * width + x - rect.x1] ?? WHOLE;
    for (let channel = 0; channel < CHANNELS; channel++) {
      const [near, old] = [pixels[outside + channel] as number, pixels[at(x, y) + channel] as number];
      const four = fourOf(mouth, size, (row * size + column) * CHANNELS + channel);
      const inside = Math.round((weight * four + (WHOLE - weight) * 4 * old) / WHOLE);
      seam += (4 * near - inside) ** 2;
      background += (near - old) ** 2;
    }
  };
  for (let place = 0; place < PLACES; place++) {
    const along = Math.floor(((place + 0.5) * last) / PLACES);
    const [x, y] = [xOf(along + 1), yOf(along + 1)];
    add(at(x, top), along, 0);
    add(at(x, bottom), along, last);
    add(at(left, y), 0, along);
    add(at(right, y), last, along);
  }
  const count = 4 * PLACES * CHANNELS;
  return { seam: Math.round((100 * seam) / 16 / count), background: Math.round((100 * background) / count) };
}

/** One channel of a pixel of the mouth and of its neighbours on the right and below, added up. */
function fourOf(mouth: Uint8Array, size: number, at: number): number {
  const below = at + size * CHANNELS;
  const upper = (mouth[at] as number) + (mouth[at + CHANNELS] as number);
  return upper + (mouth[below] as number) + (mouth[below + CHANNELS] as number);
}

/** Brightness of the pixel at `at`, 0 … 255. */
function luma(pixels: Uint8Array, at: number): number {
  return (77 * (pixels[at] as number) + 150 * (pixels[at + 1] as number) + 29 * (pixels[at + 2] as number)) >> 8;
}
