/** Encoded windows → F, the feature rows that audio inputs are cut from: the first and the last row are there twice. */
import { FEATURE_SIZE } from '../../shared/sound/rates.ts';
import type { FeatureRows, IndexRange } from './contract.ts';
import { windowOfRow } from './sound-ranges.ts';

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
