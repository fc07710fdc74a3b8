/** Which sound the frames of a segment are made from, when batches lie on the grid of the sound. */

import { rowOfFrame } from '../../shared/sound/audio-kinds.ts';
import { type FrameRate, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import type { Hearing } from '../../shared/sound/hearing.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { firstSampleOfRow, firstSampleOfRowToEnd, samplesUntilRow } from '../../shared/sound/row-reach.ts';
import type { IndexRange } from './contract.ts';

/** The fields of a request for frames that decide it. */
export interface HeardFrames {
  readonly frames: IndexRange;
  /** Of the whole sound. */
  readonly totalFrames: number;
  readonly frameRate?: FrameRate | undefined;
  readonly batchFrames: number;
  readonly encoderBatchWindows: number;
}

export interface HeardSound {
  /** The frames that are computed for those asked for: whole batches. */
  readonly computed: IndexRange;
  /** Samples that their bytes may depend on; none outside of them matters. */
  readonly samples: IndexRange;
  /** Whether their bytes may depend on where the sound ends. */
  readonly seesEnd: boolean;
}

/** The end of a sound counts as seen from so far away: what lies there is rendered again rather than in doubt. */
const END_MARGIN_SAMPLES = SAMPLE_RATE_HZ;
/** Row r of `ave` shows window r − 1. */
const ROW_LEAD = 1;

/** @param sampleCount of the whole sound. */
export function soundOfFrames(request: HeardFrames, hearing: Hearing, sampleCount: number): HeardSound {
  const computed = wholeBatches(request);
  const { frameRate = USUAL_FRAME_RATE } = request;
  const rowOf = (frame: number) => rowOfFrame(frame, hearing.kind, frameRate);
  const rows = onEncoderGrid(
    { start: rowOf(computed.start) - hearing.rowsBefore, end: rowOf(computed.end - 1) + 1 + hearing.rowsAfter },
    hearing,
    request.encoderBatchWindows,
  );
  const until = samplesUntilRow(rows.end - 1, hearing);
  const seesEnd = until + END_MARGIN_SAMPLES > sampleCount;
  const first = seesEnd
    ? firstSampleOfRowToEnd(rows.start, hearing, sampleCount)
    : firstSampleOfRow(rows.start, hearing);
  const end = Math.min(until, sampleCount);
  return { computed, samples: { start: Math.min(Math.max(0, first), end), end }, seesEnd };
}

/** All frames of the batches that hold one asked for. */
export function wholeBatches({
  frames,
  batchFrames,
  totalFrames,
}: Omit<HeardFrames, 'encoderBatchWindows'>): IndexRange {
  const start = Math.floor(frames.start / batchFrames) * batchFrames;
  return { start, end: Math.min(Math.ceil(frames.end / batchFrames) * batchFrames, totalFrames) };
}

/** Windows of `ave` share runs of the encoder, so the rows of all windows in these runs. */
function onEncoderGrid(rows: IndexRange, { kind }: Hearing, windows: number): IndexRange {
  const [first, last] = [Math.max(0, rows.start), Math.max(0, rows.end - 1)];
  if (kind !== 'ave') return { start: first, end: last + 1 };
  const gridStart = Math.floor(Math.max(0, first - ROW_LEAD) / windows) * windows;
  const gridEnd = Math.ceil((Math.max(0, last - ROW_LEAD) + 1) / windows) * windows;
  return { start: gridStart + ROW_LEAD, end: gridEnd + ROW_LEAD };
}
