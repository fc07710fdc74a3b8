/** What every JPEG of the compositor has in common: the standard's tables (ITU T.81, Annex K) and the header. */
import type { PictureSize } from './contract.ts';

/** Coefficients of a block. */
export const BLOCK_VALUES = 64;

/** Place in the file's order → place in the block, row by row. */
export const ZIGZAG = Uint8Array.of(
  ...[0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21],
  ...[28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61],
  ...[54, 47, 55, 62, 63],
);

const LUMA_STEPS = [
  ...[16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29],
  ...[51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121],
  ...[120, 101, 72, 92, 95, 98, 112, 100, 103, 99],
];
const CHROMA_STEPS = [
  ...[17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99],
  ...[47, 66, 99, 99, 99, 99, 99, 99, ...new Array<number>(32).fill(99)],
];

/** Steps to which the coefficients of a quality are rounded, row by row, 1–255. */
export interface QuantisationSteps {
  readonly luma: Uint8Array;
  readonly chroma: Uint8Array;
}

/** libjpeg's steps for a quality of 1–100. */
export function quantisationSteps(quality: number): QuantisationSteps {
  const percent = quality < 50 ? Math.floor(5000 / quality) : 200 - 2 * quality;
  const scale = (steps: readonly number[]) =>
    Uint8Array.from(steps, (step) => Math.min(Math.max(Math.floor((step * percent + 50) / 100), 1), 255));
  return { luma: scale(LUMA_STEPS), chroma: scale(CHROMA_STEPS) };
}

/** A Huffman table as it stands in the file: how many codes have each length (1–16), and their symbols. */
interface HuffmanSpec {
  readonly lengths: readonly number[];
  readonly symbols: readonly number[];
}

const DC_SYMBOLS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const LUMA_DC: HuffmanSpec = { lengths: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], symbols: DC_SYMBOLS };
const CHROMA_DC: HuffmanSpec = { lengths: [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], symbols: DC_SYMBOLS };
const LUMA_AC: HuffmanSpec = {
  lengths: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
  symbols: fromHex(
    '01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a343536373839' +
      '3a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7' +
      'a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa',
  ),
};
const CHROMA_AC: HuffmanSpec = {
  lengths: [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
  symbols: fromHex(
    '0001020311040521310612415107617113223281081442' +
      '91a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a6364656667' +
      '68696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9ca' +
      'd2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa',
  ),
};

/** Bits of a code's length in an entry of a `HuffmanCodes`. */
export const CODE_LENGTH_BITS = 5;

/** For each symbol its code << 5 | the code's length in bits; 0 for a symbol without a code. */
export type HuffmanCodes = Int32Array;

export const LUMA_DC_CODES = huffmanCodes(LUMA_DC);
export const LUMA_AC_CODES = huffmanCodes(LUMA_AC);
export const CHROMA_DC_CODES = huffmanCodes(CHROMA_DC);
export const CHROMA_AC_CODES = huffmanCodes(CHROMA_AC);

function huffmanCodes({ lengths, symbols }: HuffmanSpec): HuffmanCodes {
  const codes = new Int32Array(256);
  let code = 0;
  let next = 0;
  for (const [index, count] of lengths.entries()) {
    for (const symbol of symbols.slice(next, next + count)) {
      codes[symbol] = (code++ << CODE_LENGTH_BITS) | (index + 1);
    }
    next += count;
    code <<= 1;
  }
  return codes;
}

/** Everything before the first row of MCUs. */
export function jpegHeader({ width, height }: PictureSize, mcusPerRow: number, steps: QuantisationSteps): Uint8Array {
  const word = (value: number) => [value >> 8, value & 0xff];
  const marker = (code: number, body: readonly number[]) => [0xff, code, ...word(body.length + 2), ...body];
  const quantisation = (id: number, table: Uint8Array) =>
    marker(0xdb, [id, ...Array.from(ZIGZAG, (place) => table[place] as number)]);
  const huffman = (id: number, { lengths, symbols }: HuffmanSpec) => marker(0xc4, [id, ...lengths, ...symbols]);
  const jfif = [0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 0, ...word(72), ...word(72), 0, 0];
  const components = [1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
  return Uint8Array.of(
    ...[0xff, 0xd8],
    ...marker(0xe0, jfif),
    ...quantisation(0, steps.luma),
    ...quantisation(1, steps.chroma),
    ...marker(0xc0, [8, ...word(height), ...word(width), 3, ...components]),
    ...huffman(0x00, LUMA_DC),
    ...huffman(0x10, LUMA_AC),
    ...huffman(0x01, CHROMA_DC),
    ...huffman(0x11, CHROMA_AC),
    ...marker(0xdd, word(mcusPerRow)),
    ...marker(0xda, [3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]),
  );
}

/** Second byte of the marker after MCU row `row` of `rows`: restart 0–7 in turn, and at last the end of the picture. */
export function markerAfterRow(row: number, rows: number): number {
  return row === rows - 1 ? 0xd9 : 0xd0 + (row & 7);
}

function fromHex(digits: string): number[] {
  return [...Buffer.from(digits, 'hex')];
}
