/**
 * The kinds of speech features that lip-sync networks hear, as data: all that differs between them but the arithmetic
 * itself. Feature rows follow each other at the rate of the videos that the kind is trained with.
 */

/** SyncTalk_2D's own encoder of mel windows; hidden states of HuBERT; WeNet's streaming encoder of filter banks. */
export const AUDIO_KINDS = ['ave', 'hubert', 'wenet'] as const;
export type AudioKind = (typeof AUDIO_KINDS)[number];

/** The feature rows that a frame hears, and the shape that the network takes them in: [channels, height, width]. */
export interface RowContext {
  readonly rowsBefore: number;
  /** Behind its own. */
  readonly rowsAfter: number;
  readonly shape: readonly [number, number, number];
}

export interface AudioKindFacts {
  /** Feature rows in a second, and frames of the videos that such networks are trained with. */
  readonly framesPerSecond: 20 | 25;
  /** Floats in a feature row. */
  readonly rowFloats: number;
  /** What networks hear around a frame: 8 rows in Ultralight-Digital-Human, 16 in SyncTalk_2D. */
  readonly contexts: readonly RowContext[];
}

const EIGHT_ROWS = { rowsBefore: 4, rowsAfter: 3 } as const;
const SIXTEEN_ROWS = { rowsBefore: 8, rowsAfter: 7 } as const;

export const AUDIO_KIND_FACTS: Readonly<Record<AudioKind, AudioKindFacts>> = {
  ave: { framesPerSecond: 25, rowFloats: 512, contexts: [{ ...SIXTEEN_ROWS, shape: [32, 16, 16] }] },
  hubert: {
    framesPerSecond: 25,
    rowFloats: 2 * 1024,
    contexts: [
      { ...EIGHT_ROWS, shape: [16, 32, 32] },
      { ...SIXTEEN_ROWS, shape: [32, 32, 32] },
    ],
  },
  wenet: {
    framesPerSecond: 20,
    rowFloats: 16 * 512,
    contexts: [
      { ...EIGHT_ROWS, shape: [128, 16, 32] },
      { ...SIXTEEN_ROWS, shape: [256, 16, 32] },
    ],
  },
};

/**
 * The feature row that frame `frameIndex` of a video is the picture of, and the frame of the kind's own rate that it
 * shows: int(j · rows/s ÷ frames/s). A video at another rate leaves out some of these frames, or shows some twice, and
 * moves as quickly.
 */
export function rowOfFrame(frameIndex: number, kind: AudioKind, framesPerSecond: number): number {
  return Math.floor((frameIndex * AUDIO_KIND_FACTS[kind].framesPerSecond) / framesPerSecond);
}
