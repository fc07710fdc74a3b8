/** Videos of which every picture can be told from the others. */

import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { ffmpeg, lavfi } from '../media/media-files.ts';

/** Step of brightness from one picture to the next, in luma of narrow-range video (16 … 235). */
const LUMA_STEP = 4;

export interface VideoOptions {
  readonly frames: number;
  readonly rate?: number | undefined;
  /** Pixels, `W:H`. */
  readonly size?: string | undefined;
}

/** Writes an H.264 video of grey pictures, each one step brighter than the one before (up to 54 of them). */
export async function writeVideo(path: string, { frames, rate = 25, size = '64:48' }: VideoOptions): Promise<string> {
  const grey = `geq=lum='16+mod(N\\,54)*${LUMA_STEP}':cb=128:cr=128`;
  const graph = `nullsrc=s=16x16:r=${rate},format=yuv420p,${grey},scale=${size}:flags=neighbor`;
  const coding = ['-c:v', 'libx264', '-preset', 'ultrafast', '-qp', '0', '-pix_fmt', 'yuv420p'];
  await ffmpeg(...lavfi(graph), '-frames:v', String(frames), ...coding, '-movflags', '+faststart', path);
  return path;
}

/** The place in its video of each picture of a folder, told by its brightness, in the order of their names. */
export async function placesIn(folder: string): Promise<number[]> {
  const names = (await readdir(folder)).filter((name) => !name.startsWith('.')).sort();
  return await Promise.all(
    names.map(async (name) => {
      const { channels } = await sharp(join(folder, name)).stats();
      const means = channels.map(({ mean }) => mean);
      assert.ok(Math.max(...means) - Math.min(...means) < 2, `${name} is grey`);
      return Math.round((((means[0] ?? 0) / 255) * 219) / LUMA_STEP);
    }),
  );
}

/** 0, 1, … count − 1. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** What an MP4 may say of how its pictures are to be shown: a, b, c, d of x' = ax + cy, y' = bx + dy. */
export type Turn = readonly [number, number, number, number];
export const QUARTER_TURN: Turn = [0, 1, -1, 0];

/** Sets the matrix of the video track's header, which is where telephones note how they were held. */
export async function showTurned(file: string, [a, b, c, d]: Turn): Promise<void> {
  const video = await readFile(file);
  const matrix = video.indexOf('tkhd') + 44;
  for (const [index, value] of [a, b, 0, c, d, 0].entries()) video.writeInt32BE(value << 16, matrix + 4 * index);
  await writeFile(file, video);
}
