/** The demo avatar for tests: built once into its usual place, its frames decoded with sharp. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { buildDemoAvatar } from '../../avatars/demo/build.ts';
import type { AvatarFrames, Rect, RgbImage } from '../../worker/pipeline/contract.ts';

export async function openDemoAvatar(): Promise<AvatarFrames> {
  const { cropRectsPath, framesDir, frameCount } = await buildDemoAvatar();
  const rects = await readRects(cropRectsPath);
  const decoded = new Map<number, Promise<RgbImage>>();
  return {
    frameCount,
    width: 1280,
    height: 720,
    rect: (index) => rects[index] as Rect,
    background(index) {
      const known = decoded.get(index) ?? decode(join(framesDir, `frame_${String(index).padStart(6, '0')}.jpg`));
      decoded.set(index, known);
      return known;
    },
  };
}

export async function readRects(path: string): Promise<Rect[]> {
  const rows = JSON.parse(await readFile(path, 'utf8')) as [number, number, number, number][];
  return rows.map(([x1, y1, x2, y2]) => ({ x1, y1, x2, y2 }));
}

async function decode(path: string): Promise<RgbImage> {
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}
