/** Mel → the encoder's windows of 16 mel frames, one for every video frame and two more at the end. */
import { MEL_BANDS, WINDOW_MEL_FRAMES } from '../../shared/sound/rates.ts';
import { type IndexRange, type MelPiece, WINDOW_FLOATS } from './contract.ts';
import { windowStart } from './sound-ranges.ts';

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
