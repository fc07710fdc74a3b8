/** Encoded windows → F, the feature rows that audio inputs are cut from: the first and the last window stand twice. */
import { FEATURE_ROWS_AFTER, FEATURE_ROWS_BEFORE, FEATURE_SIZE, type IndexRange } from './contract.ts';

/** A stretch of F: `data` holds 512 values a row, its first row is row `firstRow` of F. */
export interface FeatureRows {
  readonly data: Float32Array;
  readonly firstRow: number;
}

/** Rows of F for W windows: W + 2. */
export function featureRowCount(windowTotal: number): number {
  return windowTotal + 2;
}

/** The window whose features are row `row` of F, 0 ≤ row < W + 2. */
export function windowOfRow(row: number, windowTotal: number): number {
  return Math.min(Math.max(row - 1, 0), windowTotal - 1);
}

/**
 * The rows of F, within [0, W + 2), that the audio inputs of these frames are cut from; empty where all are outside.
 * @param rowsAhead rows after its own that a frame hears.
 */
export function rowsOfFrames(
  frames: IndexRange,
  windowTotal: number,
  rowsAhead: number = FEATURE_ROWS_AFTER,
): IndexRange {
  const rowTotal = featureRowCount(windowTotal);
  const end = Math.min(Math.max(frames.end + rowsAhead, 0), rowTotal);
  return { start: Math.min(Math.max(frames.start - FEATURE_ROWS_BEFORE, 0), end), end };
}

/** The windows behind a range of rows; empty for an empty range. */
export function windowsOfRows(rows: IndexRange, windowTotal: number): IndexRange {
  if (rows.end <= rows.start) return { start: 0, end: 0 };
  return { start: windowOfRow(rows.start, windowTotal), end: windowOfRow(rows.end - 1, windowTotal) + 1 };
}

/** Rows [start, end) of F. `featuresOf` gives the 512 features of a window in `windowsOfRows(rows)`. */
export function gatherFeatureRows(
  rows: IndexRange,
  windowTotal: number,
  featuresOf: (window: number) => Float32Array,
): FeatureRows {
  const data = new Float32Array((rows.end - rows.start) * FEATURE_SIZE);
  for (let row = rows.start; row < rows.end; row++) {
    data.set(featuresOf(windowOfRow(row, windowTotal)), (row - rows.start) * FEATURE_SIZE);
  }
  return { data, firstRow: rows.start };
}
