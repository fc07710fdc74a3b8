/** Encoded parts of a sound → F, the feature rows that audio inputs are cut from. */
import type { FeatureRows, IndexRange } from './contract.ts';

/** Rows [start, end) of F. `featuresOf` gives those of one row. */
export function gatherFeatureRows(
  rows: IndexRange,
  rowFloats: number,
  featuresOf: (row: number) => Float32Array,
): FeatureRows {
  const data = new Float32Array((rows.end - rows.start) * rowFloats);
  for (let row = rows.start; row < rows.end; row++) data.set(featuresOf(row), (row - rows.start) * rowFloats);
  return { data, firstRow: rows.start };
}
