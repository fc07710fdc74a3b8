/** F → what the network hears at one frame: the 16 feature rows around it. */
import { FEATURE_ROWS_AFTER, FEATURE_ROWS_BEFORE, FEATURE_SIZE } from '../../shared/sound/rates.ts';
import { AUDIO_INPUT_FLOATS, type FeatureRows } from './contract.ts';

/**
 * Writes the audio input of frame `frameIndex`, [32, 16, 16]: rows frameIndex−8 … frameIndex+7, 16 × 512 reshaped.
 * Rows that `rows` does not hold are zero, so it must hold all that lie inside F.
 * @param rows a stretch of F: 512 values a row, the first one is row `firstRow` of F.
 * @param input receives 8192 floats from `offset` on.
 * @param rowsAhead rows after the frame's own that it hears; those beyond are zero, also where `rows` holds them.
 */
export function writeAudioInput(
  rows: FeatureRows,
  frameIndex: number,
  input: Float32Array,
  offset: number,
  rowsAhead: number = FEATURE_ROWS_AFTER,
): void {
  const firstWanted = frameIndex - FEATURE_ROWS_BEFORE;
  const start = Math.max(firstWanted, rows.firstRow);
  const end = Math.min(frameIndex + 1 + rowsAhead, rows.firstRow + rows.data.length / FEATURE_SIZE);
  input.fill(0, offset, offset + AUDIO_INPUT_FLOATS);
  if (end <= start) return;
  const held = rows.data.subarray((start - rows.firstRow) * FEATURE_SIZE, (end - rows.firstRow) * FEATURE_SIZE);
  input.set(held, offset + (start - firstWanted) * FEATURE_SIZE);
}
