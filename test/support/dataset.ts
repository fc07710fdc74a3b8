import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { listBackgroundFiles } from '../../worker/avatar/background-files.ts';
import { LANDMARK_COUNT } from '../../worker/avatar/landmarks.ts';
import type { Rect } from '../../worker/pipeline/contract.ts';
import { SMALL_FACE, SMALL_MODEL } from './small-avatar.ts';

/** Landmarks that give a rect: cheeks at its sides, bridge of the nose at its top; all others in its middle. */
export function landmarksFor({ x1, y1, x2, y2 }: Rect): string {
  const points = Array.from({ length: LANDMARK_COUNT }, () => `${(x1 + x2) / 2} ${(y1 + y2) / 2}`);
  points[1] = `${x1 + 0.25} ${y2}`;
  points[31] = `${x2 + 0.75} ${y2}`;
  points[52] = `${(x1 + x2) / 2} ${y1 + 0.5}`;
  return `${points.join('\n')}\n`;
}

/**
 * A dataset folder as SyncTalk_2D makes it, of the first pictures of the small avatar, which must be built: JPEG
 * pictures, landmarks, and the small avatar's networks as its export.
 * @param pictureCount SMALL_PICTURES at most.
 * @returns the rects that its landmarks stand for.
 */
export async function writeDataset(folder: string, pictureCount: number): Promise<Rect[]> {
  const pictures = await listBackgroundFiles(SMALL_MODEL.background_dir);
  for (const name of ['full_body_img', 'landmarks']) await mkdir(path.join(folder, name), { recursive: true });
  for (const [number, picture] of pictures.slice(0, pictureCount).entries()) {
    await copyFile(picture, path.join(folder, 'full_body_img', `${number}.jpg`));
    await writeFile(path.join(folder, 'landmarks', `${number}.lms`), landmarksFor(SMALL_FACE));
  }
  for (const network of [SMALL_MODEL.model_path, SMALL_MODEL.audio_encoder_path]) {
    await copyFile(network, path.join(folder, path.basename(network)));
  }
  return Array(pictureCount).fill(SMALL_FACE);
}
