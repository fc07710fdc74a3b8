/** How much sound the frames of a stream depend on. Samples at 16 kHz. */
import { rowOfFrame } from '../../shared/sound/audio-kinds.ts';
import { type FrameRate, samplesPerFrame, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { type Hearing, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import * as reach from '../../shared/sound/row-reach.ts';

/** What the frames of a stream hear, as far as streams differ in it. */
export interface FrameContext {
  /** Feature rows after a frame's own that it hears, 0 … 7; no more than its network does. */
  readonly rowsAhead: number;
  /** Frames a second; absent: 25. */
  readonly frameRate?: FrameRate | undefined;
  /** Of the model's network; absent: 16 rows of `ave`. */
  readonly hearing?: Hearing | undefined;
}

/** No frame depends on more sound after its own beginning than so many frames last, except on the whole sound. */
const MOST_FRAMES_AHEAD = 64;

/** The feature row that is the frame's own. */
function rowOf(frameIndex: number, { kind }: Hearing, frameRate: FrameRate = USUAL_FRAME_RATE): number {
  return rowOfFrame(frameIndex, kind, frameRate);
}

/** Number of samples after which frame `frameIndex` depends on no later ones; infinite where it needs the whole sound. */
export function samplesUntilReady(
  frameIndex: number,
  { rowsAhead, frameRate, hearing = USUAL_HEARING }: FrameContext,
): number {
  const lastRow = rowOf(frameIndex, hearing, frameRate) + Math.min(rowsAhead, hearing.rowsAfter);
  return reach.samplesUntilRow(lastRow, hearing);
}

/** Number of frames, from 0, that do not depend on what comes after the first `sampleCount` samples. */
export function readyFrames(sampleCount: number, context: FrameContext): number {
  if (!reach.isLive(context.hearing ?? USUAL_HEARING)) return 0;
  let frames = Math.max(0, Math.floor(sampleCount / samplesPerFrame(context.frameRate)) - MOST_FRAMES_AHEAD);
  while (samplesUntilReady(frames, context) <= sampleCount) frames++;
  return frames;
}

/** First sample that frames from `frameIndex` on depend on. */
export function firstSampleNeeded(frameIndex: number, { frameRate, hearing = USUAL_HEARING }: FrameContext): number {
  return reach.firstSampleOfRow(rowOf(frameIndex, hearing, frameRate) - hearing.rowsBefore, hearing);
}

/** First sample that frames from `frameIndex` to the end of a finished sound depend on. */
export function firstSampleNeededToEnd(
  frameIndex: number,
  sampleCount: number,
  { frameRate, hearing = USUAL_HEARING }: FrameContext,
): number {
  const firstRow = rowOf(frameIndex, hearing, frameRate) - hearing.rowsBefore;
  return reach.firstSampleOfRowToEnd(firstRow, hearing, sampleCount);
}

/** Longest time in ms from the beginning of a frame to the end of the sound that it depends on. */
export function algorithmicLatencyMs({ rowsAhead, hearing = USUAL_HEARING }: FrameContext): number {
  return reach.algorithmicLatencyMs(hearing, rowsAhead);
}
