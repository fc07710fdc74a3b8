/** A folder of pictures that look like nothing, for tests of their preparation. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import type { AvatarSources } from '../../worker/prepared/contract.ts';

export const SIZE = { width: 76, height: 58 } as const;
export const RECT = { x1: 21, y1: 13, x2: 56, y2: 45 } as const;

/** A temporary folder that goes when the test ends. */
export async function openFolder(test: { after(end: () => Promise<void>): void }): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-prepared-'));
  test.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Pixels that differ from those of every other seed. */
export function noise(byteLength: number, seed: number): Uint8Array {
  let state = seed * 2654435761 + 1;
  return Uint8Array.from({ length: byteLength }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

export async function writePicture(file: string, seed: number, size: { width: number; height: number } = SIZE) {
  const raw = { ...size, channels: 3 } as const;
  await sharp(noise(size.width * size.height * 3, seed), { raw })
    .png()
    .toFile(file);
}

/** Writes pictures into `folder`, numbered from 0, and describes an avatar of them. */
export async function writeSources(folder: string, frameCount: number): Promise<AvatarSources> {
  const paths = Array.from({ length: frameCount }, (_, index) => path.join(folder, `${index}.png`));
  for (const [index, file] of paths.entries()) await writePicture(file, index);
  return avatarOf(paths);
}

export function avatarOf(paths: readonly string[]): AvatarSources {
  const source = (index: number) => ({ background: paths[index] ?? '' });
  return { frameCount: paths.length, size: SIZE, rect: () => RECT, source };
}

/** Numbers in a file that is not theirs would be noticed: the pictures of a test that is looked at later. */
export async function damage(file: string, bytes: Uint8Array, at: number): Promise<void> {
  const damaged = Uint8Array.from(bytes);
  damaged[at] = (damaged[at] as number) ^ 0x10;
  await writeFile(file, damaged);
}
