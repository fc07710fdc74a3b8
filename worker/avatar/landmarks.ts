/** Face landmarks (`.lms` files: 110 lines of "x y", picture pixels) and the crop rect they give. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Rect } from '../pipeline/contract.ts';

export const LANDMARK_COUNT = 110;

/** The landmarks that bound the crop rect: its left and right edge are the cheeks, its top the bridge of the nose. */
const LEFT_LANDMARK = 1;
const RIGHT_LANDMARK = 31;
const TOP_LANDMARK = 52;

/**
 * The crop rect of a frame from its landmarks: x1 = p[1].x, y1 = p[52].y, x2 = p[31].x, integers truncated, and
 * y2 = y1 + (x2 − x1), so it is square.
 * @param text 110 lines of "x y"; blank lines are ignored.
 * @param path where the text came from, for messages.
 * @throws FarmError `model_unusable`: another number of points, a line that is not two numbers, or x2 ≤ x1.
 */
export function cropRectFromLandmarks(text: string, path: string): Rect {
  const lines = linesOf(text);
  if (lines.length !== LANDMARK_COUNT) {
    throw new FarmError('model_unusable', `${path} has ${lines.length} landmarks: expected ${LANDMARK_COUNT}`);
  }
  return cropRect(lines, path);
}

/**
 * The crop rects of several frames, whose landmark files stand one after the other in one text.
 * @throws FarmError `model_unusable`: a number of lines that is no multiple of 110, or what cropRectFromLandmarks
 * refuses, with the number of the frame.
 */
export function cropRectsFromLandmarks(text: string, path: string): Rect[] {
  const lines = linesOf(text);
  const frames = lines.length / LANDMARK_COUNT;
  if (frames < 1 || !Number.isInteger(frames)) {
    throw new FarmError('model_unusable', `${path} has ${lines.length} landmarks: expected ${LANDMARK_COUNT} a frame`);
  }
  return Array.from({ length: frames }, (_, frame) =>
    cropRect(lines.slice(frame * LANDMARK_COUNT, (frame + 1) * LANDMARK_COUNT), `frame ${frame} in ${path}`),
  );
}

function linesOf(text: string): string[] {
  return text.split(/\r\n|\r|\n/).filter((line) => line.trim() !== '');
}

function cropRect(lines: readonly string[], path: string): Rect {
  const x1 = Math.trunc(parsePoint(lines, LEFT_LANDMARK, path).x);
  const x2 = Math.trunc(parsePoint(lines, RIGHT_LANDMARK, path).x);
  const y1 = Math.trunc(parsePoint(lines, TOP_LANDMARK, path).y);
  if (x2 <= x1) {
    throw new FarmError(
      'model_unusable',
      `${path} gives an empty crop rect: landmark ${LEFT_LANDMARK} has x ${x1}, landmark ${RIGHT_LANDMARK} has x ${x2}`,
    );
  }
  return { x1, y1, x2, y2: y1 + (x2 - x1) };
}

function parsePoint(lines: readonly string[], index: number, path: string): { x: number; y: number } {
  const line = lines[index] ?? '';
  const [x, y, ...rest] = line.trim().split(/\s+/).map(Number);
  if (x === undefined || y === undefined || rest.length > 0 || !Number.isFinite(x) || !Number.isFinite(y)) {
    throw new FarmError('model_unusable', `landmark ${index} in ${path} is "${line.trim()}": expected "x y" in pixels`);
  }
  return { x, y };
}
