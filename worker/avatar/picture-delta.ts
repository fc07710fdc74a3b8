/**
 * A picture, stored as its difference from another one of the same size. Behind a presenter the studio stands still, so
 * the pictures of an avatar often have most of their pixels in common.
 */

import type { RgbImage } from '../pipeline/contract.ts';

/** Size of the tiles that are compared, in pixels. */
const TILE_WIDTH = 64;
const TILE_HEIGHT = 32;
const CHANNELS = 3;

export interface PictureDelta {
  /** Tiles that differ, row by row from the top left. */
  readonly tiles: readonly Tile[];
  /** The rows of those tiles, one after the other. */
  readonly pixels: Uint8Array;
}

interface Tile {
  /** Offset of the tile's first byte in the picture. */
  readonly start: number;
  readonly rowBytes: number;
  readonly rows: number;
}

/** The difference of `picture` from `base`. Both have the same size. */
export function deltaFrom(base: RgbImage, picture: RgbImage): PictureDelta {
  const stride = picture.width * CHANNELS;
  const [before, after] = [asBuffer(base), asBuffer(picture)];
  const tiles = tilesOf(picture).filter(({ start, rowBytes, rows }) => {
    for (let from = start; from < start + rows * stride; from += stride) {
      if (after.compare(before, from, from + rowBytes, from, from + rowBytes) !== 0) return true;
    }
    return false;
  });
  const pixels = new Uint8Array(tiles.reduce((sum, { rowBytes, rows }) => sum + rowBytes * rows, 0));
  let to = 0;
  for (const { start, rowBytes, rows } of tiles) {
    for (let from = start; from < start + rows * stride; from += stride, to += rowBytes) {
      pixels.set(picture.data.subarray(from, from + rowBytes), to);
    }
  }
  return { tiles, pixels };
}

/** A new picture: `base` with the delta applied. */
export function applyDelta(base: RgbImage, { tiles, pixels }: PictureDelta): RgbImage {
  const data = new Uint8Array(base.data);
  const stride = base.width * CHANNELS;
  let from = 0;
  for (const { start, rowBytes, rows } of tiles) {
    for (let to = start; to < start + rows * stride; to += stride, from += rowBytes) {
      data.set(pixels.subarray(from, from + rowBytes), to);
    }
  }
  return { width: base.width, height: base.height, data };
}

function tilesOf({ width, height }: RgbImage): Tile[] {
  const tiles: Tile[] = [];
  for (let y = 0; y < height; y += TILE_HEIGHT) {
    for (let x = 0; x < width; x += TILE_WIDTH) {
      tiles.push({
        start: (y * width + x) * CHANNELS,
        rowBytes: Math.min(TILE_WIDTH, width - x) * CHANNELS,
        rows: Math.min(TILE_HEIGHT, height - y),
      });
    }
  }
  return tiles;
}

function asBuffer({ data }: RgbImage): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.length);
}
