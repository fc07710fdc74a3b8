/** Which of the avatar's pictures is the background of a frame, and the checks of that picture. */
import { FarmError } from '../../shared/errors/farm-error.ts';
import {
  type AvatarFrames,
  type BackgroundMode,
  CROP_MARGIN,
  type GivenFace,
  type NetworkSize,
  type Rect,
  type RgbImage,
} from './contract.ts';

/**
 * Index of the background at `position` of the endless walk over n pictures: 0, 1, …, n−1, n−2, …, 1, 0, 1, … to and
 * fro; 0, 1, …, n−1, 0, 1, … in a loop; 0, 1, …, n−1, n−1, … where the last one is held.
 * @param position start_frame_idx + frame index, 0 or more; may exceed n.
 * @param frameCount n, 1 or more.
 */
export function backgroundIndex(position: number, frameCount: number, mode: BackgroundMode = 'ping-pong'): number {
  if (mode === 'loop') return position % frameCount;
  if (mode === 'hold') return Math.min(position, frameCount - 1);
  if (frameCount === 1) return 0;
  const period = 2 * frameCount - 2;
  const step = position % period;
  return step < frameCount ? step : period - step;
}

/** Which walk a video takes over its avatar's pictures. */
export interface Walk {
  /** Position of frame 0. */
  readonly startFrameIndex: number;
  /** Ping-pong when absent. */
  readonly backgroundMode?: BackgroundMode | undefined;
  /** True: it turns back in the middle of the video, and ends where it began. */
  readonly fromNeutral?: boolean | undefined;
  /** Frames of the whole video. */
  readonly totalFrames: number;
}

/** Index of the background of frame `frame`, 0 ≤ frame < totalFrames, over `frameCount` pictures. */
export function backgroundOfFrame(frame: number, walk: Walk, frameCount: number): number {
  const { startFrameIndex, backgroundMode, fromNeutral, totalFrames } = walk;
  const steps = fromNeutral ? Math.min(frame, totalFrames - 1 - frame) : frame;
  return backgroundIndex(startFrameIndex + steps, frameCount, backgroundMode);
}

/**
 * Checks a loaded background against the size and the crop rect that the avatar states for it.
 * @throws FarmError `model_unusable` when the picture is of another size or the rect is empty or reaches beyond it.
 */
export function checkBackground(
  image: RgbImage,
  rect: Rect,
  avatar: Pick<AvatarFrames, 'width' | 'height'>,
  index: number,
): void {
  const { width, height } = avatar;
  if (image.width !== width || image.height !== height || image.data.length !== width * height * 3) {
    const got = `${image.width}x${image.height}, ${image.data.length} bytes`;
    throw new FarmError(
      'model_unusable',
      `Background ${index} is ${got}; the avatar's pictures are ${width}x${height}.`,
    );
  }
  const whole = [rect.x1, rect.y1, rect.x2, rect.y2].every(Number.isInteger);
  const inside = whole && 0 <= rect.x1 && rect.x1 < rect.x2 && rect.x2 <= width;
  if (inside && 0 <= rect.y1 && rect.y1 < rect.y2 && rect.y2 <= height) return;
  const got = `[${rect.x1}, ${rect.y1}, ${rect.x2}, ${rect.y2}]`;
  throw new FarmError('model_unusable', `Crop rect ${got} of background ${index} is not inside ${width}x${height}.`);
}

/**
 * Checks the given face of background `index` against the size of the network.
 * @throws FarmError `model_unusable` when one of its pictures has another size than the network needs.
 */
export function checkFace({ crop, roi }: GivenFace, size: NetworkSize, index: number): void {
  const whole = size + 2 * CROP_MARGIN;
  const given: [string, RgbImage | undefined, number[]][] = [
    ['crop', crop, [whole, size]],
    ['roi', roi, [size]],
  ];
  for (const [what, picture, sides] of given) {
    if (picture === undefined || sides.some((side) => picture.width === side && picture.height === side)) continue;
    throw new FarmError(
      'model_unusable',
      `The ${what} of background ${index} is ${picture.width}x${picture.height}; ` +
        `a network of ${size}x${size} takes ${sides.map((side) => `${side}x${side}`).join(' or ')}.`,
    );
  }
}
