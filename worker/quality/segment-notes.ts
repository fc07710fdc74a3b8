import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { IndexRange } from '../pipeline/contract.ts';
import type { FrameMeasures } from './measure-frame.ts';
import { sheetFrames } from './sheet-frames.ts';

/** What is kept of a segment besides its frames, until the render is joined. */
export interface SegmentNotes {
  /** Where its measures go in the store. */
  readonly measuresKey: string;
  /** Frames that the contact sheet shows, and where each goes. */
  readonly tiles: ReadonlyMap<number, string>;
}

/** The measures of frames that follow each other: a list for each, of whole numbers. */
export interface Measures {
  opening: number[];
  seam: number[];
  background: number[];
}

/**
 * @param segment `clip`: the frames of the whole sound that the render makes.
 * @param withTiles false for a render whose frames are files anyway.
 */
export function notesOf(
  renderId: string,
  segment: { readonly index: number; readonly frames: IndexRange; readonly clip: IndexRange },
  withTiles: boolean,
): SegmentNotes {
  const { index, frames, clip } = segment;
  const shown = withTiles ? sheetFrames(clip) : [];
  const own = shown.filter((frame) => frames.start <= frame && frame < frames.end);
  return {
    measuresKey: artifactKeys.segmentMeasures(renderId, index),
    tiles: new Map(own.map((frame) => [frame, artifactKeys.tile(renderId, frame)])),
  };
}

/** Writes the measures of a segment's frames, in their order. */
export async function saveMeasures(
  artifacts: ArtifactStore,
  { measuresKey }: SegmentNotes,
  frames: readonly FrameMeasures[],
): Promise<void> {
  const measures: Measures = {
    opening: frames.map(({ opening }) => opening),
    seam: frames.map(({ seam }) => seam),
    background: frames.map(({ background }) => background),
  };
  await artifacts.put(measuresKey, JSON.stringify(measures));
}
