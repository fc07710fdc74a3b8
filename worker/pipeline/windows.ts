/** Mel → the encoder's windows of 16 mel frames, one for every video frame and two more at the end. */
import {
  FRAMES_PER_SECOND,
  HOP_SAMPLES,
  type IndexRange,
  MEL_BANDS,
  MEL_FRAMES_PER_SECOND,
  WINDOW_FLOATS,
  WINDOW_MEL_FRAMES,
} from './contract.ts';

/** 1 + ⌊3000 / 200⌋ = 16 mel frames: the shortest sound that fills a window. */
const SHORTEST_SOUND_SAMPLES = (WINDOW_MEL_FRAMES - 1) * HOP_SAMPLES;

/** A stretch of a sound's mel: `data` is time-major, 80 values a frame, its first frame is `firstFrame` of the sound. */
export interface MelPiece {
  readonly data: Float32Array;
  readonly firstFrame: number;
}

/** Length in samples that a sound is taken to have: a shorter one continues in zeros up to 16 mel frames. */
export function paddedSampleCount(sampleCount: number): number {
  return Math.max(sampleCount, SHORTEST_SOUND_SAMPLES);
}

/**
 * W, the number of windows of a sound of `melFrameTotal` (16 or more) mel frames.
 * Divides first, in floating point, as the trained avatars' pipeline did: exact arithmetic would count one window more
 * now and then (T = 384: 368 / 80 · 25 comes to 114.99…, not 115).
 */
export function windowCount(melFrameTotal: number): number {
  return Math.trunc(((melFrameTotal - WINDOW_MEL_FRAMES) / MEL_FRAMES_PER_SECOND) * FRAMES_PER_SECOND) + 2;
}

/** First mel frame of window `index`: int(80·index/25), pulled back so that the window ends with the sound. */
export function windowStart(index: number, melFrameTotal: number): number {
  const start = Math.trunc((MEL_FRAMES_PER_SECOND * index) / FRAMES_PER_SECOND);
  return Math.min(start, melFrameTotal - WINDOW_MEL_FRAMES);
}

/** The mel frames [start, end) that a non-empty range of windows covers. */
export function melFramesOfWindows(windows: IndexRange, melFrameTotal: number): IndexRange {
  return {
    start: windowStart(windows.start, melFrameTotal),
    end: windowStart(windows.end - 1, melFrameTotal) + WINDOW_MEL_FRAMES,
  };
}

/**
 * Windows [start, end) as the encoder takes them: [count, 1, 80, 16], mel × time.
 * @param mel covers `melFramesOfWindows(windows, melFrameTotal)`.
 */
export function gatherWindows(mel: MelPiece, windows: IndexRange, melFrameTotal: number): Float32Array {
  const gathered = new Float32Array(Math.max(0, windows.end - windows.start) * WINDOW_FLOATS);
  for (let index = windows.start; index < windows.end; index++) {
    const to = (index - windows.start) * WINDOW_FLOATS;
    const from = (windowStart(index, melFrameTotal) - mel.firstFrame) * MEL_BANDS;
    for (let time = 0; time < WINDOW_MEL_FRAMES; time++) {
      for (let band = 0; band < MEL_BANDS; band++) {
        gathered[to + band * WINDOW_MEL_FRAMES + time] = mel.data[from + time * MEL_BANDS + band] as number;
      }
    }
  }
  return gathered;
}
