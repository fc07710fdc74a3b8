import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { isVideo, type Output } from '../../shared/renders/outputs.ts';
import type { SegmentFiles } from '../../shared/segments/segment-cache.ts';
import type { IndexRange } from '../pipeline/contract.ts';
import { sheetFrames } from '../quality/sheet-frames.ts';

/** A segment of a render, as its job names it. */
export interface SegmentPlace {
  readonly index: number;
  readonly frames: IndexRange;
}

/**
 * The files of a segment in its render, by the names under which they are kept.
 * @param clip the frames that the render makes: its contact sheet shows some of them.
 */
export function segmentFilesOf(
  renderId: string,
  output: Output,
  { index, frames }: SegmentPlace,
  clip: IndexRange,
): SegmentFiles {
  const needed = new Map([['measures', artifactKeys.segmentMeasures(renderId, index)]]);
  if (!isVideo(output)) {
    for (let frame = frames.start; frame < frames.end; frame++) {
      needed.set(`frame-${frame}`, artifactKeys.frame(renderId, frame, output));
    }
    return { needed, besides: new Map() };
  }
  needed.set('video', artifactKeys.segmentVideo(renderId, index, output));
  const shown = sheetFrames(clip).filter((frame) => frames.start <= frame && frame < frames.end);
  return { needed, besides: new Map(shown.map((frame) => [`tile-${frame}`, artifactKeys.tile(renderId, frame)])) };
}
