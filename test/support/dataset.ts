import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import sharp from 'sharp';
import { DEMO_AVATAR_DIR } from '../../shared/config/load.ts';
import { listBackgroundFiles } from '../../worker/avatar/background-files.ts';
import { readCropRects } from '../../worker/avatar/crop-rects.ts';
import { LANDMARK_COUNT } from '../../worker/avatar/landmarks.ts';
import type { Rect } from '../../worker/pipeline/contract.ts';

/** Landmarks that give a rect: cheeks at its sides, bridge of the nose at its top; all others in its middle. */
export function landmarksFor({ x1, y1, x2, y2 }: Rect): string {
  const points = Array.from({ length: LANDMARK_COUNT }, () => `${(x1 + x2) / 2} ${(y1 + y2) / 2}`);
  points[1] = `${x1 + 0.25} ${y2}`;
  points[31] = `${x2 + 0.75} ${y2}`;
  points[52] = `${(x1 + x2) / 2} ${y1 + 0.5}`;
  return `${points.join('\n')}\n`;
}

/**
 * A dataset folder as SyncTalk_2D makes it, of the first pictures of the demo avatar, which must be built: JPEG
 * pictures, landmarks, and the demo avatar's networks as its export.
 * @returns the rects that its landmarks stand for.
 */
export async function writeDataset(folder: string, pictureCount: number): Promise<Rect[]> {
  const pictures = await listBackgroundFiles(path.join(DEMO_AVATAR_DIR, 'frames'));
  const rects = (await readCropRects(path.join(DEMO_AVATAR_DIR, 'crop_rects.json'))).slice(0, pictureCount);
  for (const name of ['full_body_img', 'landmarks']) await mkdir(path.join(folder, name), { recursive: true });
  for (const [number, rect] of rects.entries()) {
    await sharp(pictures[number])
      .jpeg()
      .toFile(path.join(folder, 'full_body_img', `${number}.jpg`));
    await writeFile(path.join(folder, 'landmarks', `${number}.lms`), landmarksFor(rect));
  }
  for (const name of ['generator.onnx', 'audio_encoder.onnx']) {
    await copyFile(path.join(DEMO_AVATAR_DIR, name), path.join(folder, name));
  }
  return rects;
}
