/** F → what the network hears at one frame: the feature rows around it. */
import { AUDIO_KIND_FACTS } from '../../shared/sound/audio-kinds.ts';
import { audioFloats, type Hearing, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import type { FeatureRows } from './contract.ts';

/**
 * Writes the audio input of the frame of row `row`: as many rows before and after it as the network hears, reshaped.
 * Rows that `rows` does not hold are zero, so it must hold all that lie inside F.
 * @param rows a stretch of F, the first one is row `firstRow` of F.
 * @param input receives `audioFloats(hearing)` floats from `offset` on.
 * @param rowsAhead rows after the frame's own that it hears; those beyond are zero, also where `rows` holds them.
 */
export function writeAudioInput(
  rows: FeatureRows,
  row: number,
  input: Float32Array,
  offset: number,
  rowsAhead: number = Number.POSITIVE_INFINITY,
  hearing: Hearing = USUAL_HEARING,
): void {
  const { rowFloats } = AUDIO_KIND_FACTS[hearing.kind];
  const firstWanted = row - hearing.rowsBefore;
  const start = Math.max(firstWanted, rows.firstRow);
  const end = Math.min(row + 1 + Math.min(rowsAhead, hearing.rowsAfter), rows.firstRow + rows.data.length / rowFloats);
  input.fill(0, offset, offset + audioFloats(hearing));
  if (end <= start) return;
  const held = rows.data.subarray((start - rows.firstRow) * rowFloats, (end - rows.firstRow) * rowFloats);
  input.set(held, offset + (start - firstWanted) * rowFloats);
}
