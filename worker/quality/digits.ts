/** Digits drawn into pixels as strokes: a worker's machine may have no fonts. */
import type { RgbImage } from '../pipeline/contract.ts';

/** Sizes of a glyph in pixels, without the space after it. */
const GLYPH_WIDTH = 8;
export const TEXT_HEIGHT = 14;
const SPACE = 4;
/** Half of a stroke's width, and over how much its edge fades. */
const STROKE = 0.85;
const SOFT = 0.9;

type Point = readonly [x: number, y: number];

/** Lines through points, 0 … 1 in both directions; two equal points are a dot. */
const GLYPHS: Readonly<Record<string, readonly (readonly Point[])[]>> = {
  '0': [
    [
      [0.5, 0],
      [0.85, 0.1],
      [1, 0.35],
      [1, 0.65],
      [0.85, 0.9],
      [0.5, 1],
      [0.15, 0.9],
      [0, 0.65],
      [0, 0.35],
      [0.15, 0.1],
      [0.5, 0],
    ],
  ],
  '1': [
    [
      [0.15, 0.22],
      [0.55, 0],
      [0.55, 1],
    ],
    [
      [0.15, 1],
      [0.95, 1],
    ],
  ],
  '2': [
    [
      [0.05, 0.22],
      [0.2, 0.05],
      [0.5, 0],
      [0.82, 0.06],
      [0.95, 0.26],
      [0.85, 0.48],
      [0, 1],
      [1, 1],
    ],
  ],
  '3': [
    [
      [0.03, 0.12],
      [0.25, 0.01],
      [0.6, 0],
      [0.88, 0.1],
      [0.93, 0.27],
      [0.8, 0.42],
      [0.45, 0.47],
    ],
    [
      [0.45, 0.47],
      [0.85, 0.55],
      [1, 0.73],
      [0.88, 0.92],
      [0.55, 1],
      [0.2, 0.98],
      [0, 0.87],
    ],
  ],
  '4': [
    [
      [0.75, 1],
      [0.75, 0],
      [0, 0.7],
      [1, 0.7],
    ],
  ],
  '5': [
    [
      [0.92, 0],
      [0.15, 0],
      [0.08, 0.45],
      [0.4, 0.37],
      [0.75, 0.4],
      [0.97, 0.58],
      [0.95, 0.82],
      [0.7, 0.98],
      [0.35, 1],
      [0.02, 0.9],
    ],
  ],
  '6': [
    [
      [0.85, 0.03],
      [0.5, 0.02],
      [0.18, 0.22],
      [0.02, 0.55],
      [0.1, 0.88],
      [0.48, 1],
      [0.85, 0.92],
      [1, 0.68],
      [0.88, 0.46],
      [0.5, 0.38],
      [0.15, 0.48],
      [0.02, 0.65],
    ],
  ],
  '7': [
    [
      [0, 0],
      [1, 0],
      [0.38, 1],
    ],
  ],
  '8': [
    [
      [0.5, 0.46],
      [0.15, 0.36],
      [0.08, 0.18],
      [0.25, 0.03],
      [0.5, 0],
      [0.75, 0.03],
      [0.92, 0.18],
      [0.85, 0.36],
      [0.5, 0.46],
      [0.1, 0.58],
      [0, 0.77],
      [0.15, 0.94],
      [0.5, 1],
      [0.85, 0.94],
      [1, 0.77],
      [0.9, 0.58],
      [0.5, 0.46],
    ],
  ],
  '9': [
    [
      [0.15, 0.97],
      [0.5, 0.98],
      [0.82, 0.78],
      [0.98, 0.45],
      [0.9, 0.12],
      [0.52, 0],
      [0.15, 0.08],
      [0, 0.32],
      [0.12, 0.54],
      [0.5, 0.62],
      [0.85, 0.52],
      [0.98, 0.35],
    ],
  ],
  ':': [
    [
      [0.5, 0.3],
      [0.5, 0.3],
    ],
    [
      [0.5, 0.85],
      [0.5, 0.85],
    ],
  ],
  '.': [
    [
      [0.5, 1],
      [0.5, 1],
    ],
  ],
};

/** Of a text of digits, colons and points, in pixels. */
export function textWidth(text: string): number {
  return text.length * (GLYPH_WIDTH + SPACE) - SPACE;
}

/**
 * Draws a text of digits, colons and points; anything else leaves a gap.
 * @param at its left upper corner, with a pixel of the picture to spare on all sides.
 * @param ink grey level.
 */
export function drawText(
  picture: RgbImage,
  text: string,
  at: { readonly x: number; readonly y: number },
  ink: number,
): void {
  for (const [place, glyph] of [...text].entries()) {
    drawGlyph(picture, coverOf(glyph), at.x + place * (GLYPH_WIDTH + SPACE), at.y, ink);
  }
}

/** Sizes of a glyph with the pixel around it into which its strokes fade. */
const [COVER_WIDTH, COVER_HEIGHT] = [GLYPH_WIDTH + 2, TEXT_HEIGHT + 2];

function drawGlyph({ width, data }: RgbImage, cover: Float64Array, left: number, top: number, ink: number): void {
  for (const [at, share] of cover.entries()) {
    if (share === 0) continue;
    const [x, y] = [left - 1 + (at % COVER_WIDTH), top - 1 + Math.floor(at / COVER_WIDTH)];
    const to = (y * width + x) * 3;
    for (let channel = to; channel < to + 3; channel++) {
      data[channel] = Math.round((data[channel] as number) * (1 - share) + ink * share);
    }
  }
}

const covers = new Map<string, Float64Array>();

/** How much of each pixel a glyph covers, row for row. Drawn once: every sheet has the same few glyphs, again and again. */
function coverOf(glyph: string): Float64Array {
  const known = covers.get(glyph);
  if (known) return known;
  const lines = GLYPHS[glyph] ?? [];
  const strokes = lines.flatMap((points) => points.slice(1).map((end, at) => [points[at] as Point, end].map(toPixels)));
  const cover = Float64Array.from({ length: COVER_WIDTH * COVER_HEIGHT }, (_, at) => {
    const [x, y] = [(at % COVER_WIDTH) - 1, Math.floor(at / COVER_WIDTH) - 1];
    const distance = Math.min(...strokes.map(([a, b]) => distanceTo(x, y, a as Point, b as Point)));
    return Math.max(0, Math.min(1, (STROKE + SOFT - distance) / SOFT));
  });
  covers.set(glyph, cover);
  return cover;
}

function toPixels([x, y]: Point): Point {
  return [x * (GLYPH_WIDTH - 1), y * (TEXT_HEIGHT - 1)];
}

/** From a point to a line between two. */
function distanceTo(x: number, y: number, [ax, ay]: Point, [bx, by]: Point): number {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / length));
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
}
