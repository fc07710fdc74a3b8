/** Draws the demo's frames into a folder and says where the mouth is in each. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import type { Rect } from '../../worker/pipeline/contract.ts';
import { PRESENTER_AREA, presenterSvg } from './draw-frame.ts';
import { studioSvg } from './draw-studio.ts';
import { FRAME_COUNT, mouthCentre, type Pose, poseAt } from './pose.ts';
import { CROP_SIDE, MOUTH_IN_CROP } from './scene-geometry.ts';

/** Close to lossless, and no colour subsampling: the lips' edges and the finished video's quality start here. */
const JPEG = { quality: 94, chromaSubsampling: '4:4:4', optimiseCoding: true } as const;

/** Writes frame_000000.jpg, frame_000001.jpg, … into `folder`. */
export async function writeFrames(folder: string): Promise<void> {
  const { data, info } = await sharp(Buffer.from(studioSvg()))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const studio = { width: info.width, height: info.height, channels: 3 } as const;
  let next = 0;
  const drawUntilDone = async () => {
    while (next < FRAME_COUNT) {
      const index = next++;
      await sharp(data, { raw: studio })
        .composite([{ input: Buffer.from(presenterSvg(poseAt(index))), left: PRESENTER_AREA.x, top: 0 }])
        .jpeg(JPEG)
        .toFile(join(folder, `frame_${String(index).padStart(6, '0')}.jpg`));
    }
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 4) }, drawUntilDone));
}

/** One crop rect a frame: whole pixels, the mouth at MOUTH_IN_CROP within half a pixel. */
export function cropRects(): Rect[] {
  return Array.from({ length: FRAME_COUNT }, (_, index) => cropRectOf(poseAt(index)));
}

function cropRectOf(pose: Pose): Rect {
  const mouth = mouthCentre(pose);
  const x1 = Math.round(mouth.x - MOUTH_IN_CROP.x);
  const y1 = Math.round(mouth.y - MOUTH_IN_CROP.y);
  return { x1, y1, x2: x1 + CROP_SIDE, y2: y1 + CROP_SIDE };
}
