/** A crop and its parts; crop.ts defines what this function does. */
import { CROP, MOUTH, RIM } from './layout.as';

const MARGIN: usize = 4;
const CHANNELS: usize = 3;

/** RIM and MOUTH → CROP, (S+8)² RGB. */
export function joinCrop(size: usize): void {
  const line = (size + 2 * MARGIN) * CHANNELS;
  const rimEnd = MARGIN * CHANNELS;
  const mouthLine = size * CHANNELS;
  const outerRows = MARGIN * line;
  memory.copy(CROP, RIM, outerRows);
  let rim = RIM + outerRows;
  let crop = CROP + outerRows;
  let mouth = MOUTH;
  for (let row: usize = 0; row < size; row++) {
    memory.copy(crop, rim, rimEnd);
    memory.copy(crop + rimEnd, mouth, mouthLine);
    memory.copy(crop + rimEnd + mouthLine, rim + rimEnd, rimEnd);
    rim += 2 * rimEnd;
    mouth += mouthLine;
    crop += line;
  }
  memory.copy(crop, rim, outerRows);
}
