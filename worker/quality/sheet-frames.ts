import type { IndexRange } from '../pipeline/contract.ts';

/** Most frames of a contact sheet, and how many frames of the render there are for each at least. */
const MOST = 12;
const FRAMES_EACH = 30;

/** The frames of a render, [start, end), that its contact sheet shows: the middles of stretches of equal length. */
export function sheetFrames({ start, end }: IndexRange): number[] {
  const frameCount = end - start;
  const count = Math.max(1, Math.min(MOST, Math.floor(frameCount / FRAMES_EACH)));
  return Array.from({ length: count }, (_, place) => start + Math.floor(((place + 0.5) * frameCount) / count));
}
