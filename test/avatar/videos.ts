/** Videos of which every picture can be told from the others. */

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { ffmpeg, lavfi } from '../media/media-files.ts';

/** Step of brightness from one picture to the next, in luma of narrow-range video (16 … 235). */
const LUMA_STEP = 4;

export interface VideoOptions {
  readonly frames: number;
  readonly rate?: number | undefined;
  /** Pixels, `WxH`. */
  readonly size?: string | undefined;
}

/** Writes an H.264 video of grey pictures, each one step brighter than the one before (up to 54 of them). */
export async function writeVideo(path: string, { frames, rate = 25, size = '64x48' }: VideoOptions): Promise<string> {
  const graph = `nullsrc=s=${size}:r=${rate},geq=lum='16+mod(N\\,54)*${LUMA_STEP}':cb=128:cr=128`;
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
