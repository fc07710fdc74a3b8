/**
 * The compositor's inner loops, with SIMD. compositor.ts calls them and lays out what depends on the picture;
 * plain-compositor.ts defines what they do.
 */
import { align, begin, copyBits, drain, end, position } from './jpeg-bits.as';
import { writeBlock, writeEmptyBlock } from './jpeg-block.as';
import { readMcu } from './jpeg-mcu.as';
import { CHROMA, LUMA, ROWS, SAMPLES_CB, SAMPLES_CR, SAMPLES_Y } from './layout.as';

export { spread } from './area.as';
export { joinCrop } from './crop.as';
export { mix } from './mix.as';
export { resize } from './resize.as';
export {
  CHROMA, COEFFICIENTS, CROP, FREE, LUMA, MOUTH, RECIPROCALS, RIM, ROWS, UNZIGZAG, ZIGZAG,
} from './layout.as';

const MCU_SIDE = 16;
const BLOCK_SIDE = 8;
const PIXEL: usize = 3;
/** Bytes of an entry in ROWS, and the places in it: see `ROW_FIELDS`. */
const ROW_BYTES: usize = 28;
const DC_Y: usize = 4;
const DC_CB: usize = 8;
const DC_CR: usize = 12;
const REST_BIT: usize = 16;
const END_BIT: usize = 20;
const END_BYTE: usize = 24;

let dcY: i32 = 0;
let dcCb: i32 = 0;
let dcCr: i32 = 0;

/** columns, rows: of the MCU inside the picture. */
function writeMcu(pixels: usize, stride: usize, columns: i32, rows: i32): void {
  readMcu(pixels, stride, columns, rows);
  const right = columns > BLOCK_SIDE;
  const down = rows > BLOCK_SIDE;
  dcY = writeBlock(SAMPLES_Y, 32, LUMA, dcY);
  if (right) dcY = writeBlock(SAMPLES_Y + 16, 32, LUMA, dcY);
  else writeEmptyBlock(LUMA);
  if (down) dcY = writeBlock(SAMPLES_Y + 256, 32, LUMA, dcY);
  else writeEmptyBlock(LUMA);
  if (right && down) dcY = writeBlock(SAMPLES_Y + 272, 32, LUMA, dcY);
  else writeEmptyBlock(LUMA);
  dcCb = writeBlock(SAMPLES_CB, 16, CHROMA, dcCb);
  dcCr = writeBlock(SAMPLES_CR, 16, CHROMA, dcCr);
}

/**
 * Encodes one row of MCUs, `width` × `height` pixels at `pixels`, to `to`. Fills the first entry of ROWS for a mouth's
 * area in the columns [areaX1, areaX2), with places counted from `to`. Returns the row's bytes, without its marker.
 */
export function encodeRow(pixels: usize, width: i32, height: i32, areaX1: i32, areaX2: i32, to: usize): usize {
  begin(to, 0, 0);
  dcY = dcCb = dcCr = 0;
  for (let x = 0; x < width; x += MCU_SIDE) {
    if (x == areaX1) {
      drain();
      store<u32>(ROWS, position(to));
      store<i32>(ROWS, dcY, DC_Y);
      store<i32>(ROWS, dcCb, DC_CB);
      store<i32>(ROWS, dcCr, DC_CR);
    }
    if (x == areaX2) {
      drain();
      store<u32>(ROWS, position(to), REST_BIT);
    }
    writeMcu(pixels + (x as usize) * PIXEL, (width as usize) * PIXEL, min(width - x, MCU_SIDE), height);
  }
  drain();
  store<u32>(ROWS, position(to), END_BIT);
  if (areaX2 >= width) store<u32>(ROWS, position(to), REST_BIT);
  align();
  store<u32>(ROWS, end - to, END_BYTE);
  return end - to;
}

/**
 * Replaces the mouth's area, `width` × `height` pixels at `pixels`, in the rows of MCUs that ROWS describes.
 * jpeg: address that byte 0 of the prepared JPEG would have; only these rows are read, from the byte of the first MCU
 * in the area to the padding of the last row. Writes as much to `to`, and returns its bytes.
 */
export function patch(jpeg: usize, pixels: usize, width: i32, height: i32, to: usize): usize {
  const stride = (width as usize) * PIXEL;
  let entry = ROWS;
  let at = to;
  let copied = (load<u32>(entry) >> 3) as usize;
  for (let y = 0; y < height; y += MCU_SIDE) {
    const firstBit = load<u32>(entry);
    const firstByte = (firstBit >> 3) as usize;
    memory.copy(at, jpeg + copied, firstByte - copied);
    begin(at + firstByte - copied, load<u8>(jpeg + firstByte), firstBit & 7);
    dcY = load<i32>(entry, DC_Y);
    dcCb = load<i32>(entry, DC_CB);
    dcCr = load<i32>(entry, DC_CR);
    const row = pixels + (y as usize) * stride;
    for (let x = 0; x < width; x += MCU_SIDE) {
      writeMcu(row + (x as usize) * PIXEL, stride, min(width - x, MCU_SIDE), min(height - y, MCU_SIDE));
    }
    copyBits(jpeg, load<u32>(entry, REST_BIT), load<u32>(entry, END_BIT));
    align();
    at = end;
    copied = load<u32>(entry, END_BYTE) as usize;
    entry += ROW_BYTES;
  }
  return at - to;
}
