/** Samples of an 8×8 block → its bits: twin of jpeg-block.as.ts. The integer arithmetic is libjpeg's `islow`. */
import type { BitWriter } from './jpeg-bits.ts';
import { BLOCK_VALUES, CODE_LENGTH_BITS, type HuffmanCodes, ZIGZAG } from './jpeg-tables.ts';

const SIDE = 8;
/** Symbol for 16 zeros, and for "only zeros follow". */
const SIXTEEN_ZEROS = 0xf0;
const END_OF_BLOCK = 0;

/** How the blocks of a component are coded. */
export interface BlockCoding {
  readonly steps: Uint8Array;
  readonly dcCodes: HuffmanCodes;
  readonly acCodes: HuffmanCodes;
}

const coefficients = new Int32Array(BLOCK_VALUES);

/**
 * Writes the block whose first sample is `samples[start]`.
 * @param stride samples from one row to the next.
 * @param dcBefore quantised DC value of the component's block before this one; 0 for the first after a restart.
 * @returns the DC value of this one.
 */
export function writeBlock(
  writer: BitWriter,
  coding: BlockCoding,
  samples: Int32Array,
  start: number,
  stride: number,
  dcBefore: number,
): number {
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      coefficients[row * SIDE + column] = samples[start + row * stride + column] as number;
    }
  }
  transform(coefficients);
  quantise(coefficients, coding.steps);
  const dc = coefficients[0] as number;
  writeDifference(writer, coding.dcCodes, dc - dcBefore);
  writeOthers(writer, coding.acCodes);
  return dc;
}

/** Writes a block that lies outside the picture: the DC value of the one before, and zeros. */
export function writeEmptyBlock(writer: BitWriter, coding: BlockCoding): void {
  writeDifference(writer, coding.dcCodes, 0);
  writeSymbol(writer, coding.acCodes, END_OF_BLOCK, 0);
}

function writeDifference(writer: BitWriter, codes: HuffmanCodes, difference: number): void {
  writeSymbol(writer, codes, magnitudeBits(difference), difference);
}

function writeOthers(writer: BitWriter, codes: HuffmanCodes): void {
  let zeros = 0;
  for (const place of ZIGZAG.subarray(1)) {
    const value = coefficients[place] as number;
    if (value === 0) {
      zeros++;
      continue;
    }
    for (; zeros >= 16; zeros -= 16) writeSymbol(writer, codes, SIXTEEN_ZEROS, 0);
    writeSymbol(writer, codes, (zeros << 4) | magnitudeBits(value), value);
    zeros = 0;
  }
  if (zeros > 0) writeSymbol(writer, codes, END_OF_BLOCK, 0);
}

/** A symbol's code, then as many low bits of `value` as the symbol's low half says; of value − 1 when it is negative. */
function writeSymbol(writer: BitWriter, codes: HuffmanCodes, symbol: number, value: number): void {
  const entry = codes[symbol] as number;
  writer.put(entry >> CODE_LENGTH_BITS, entry & ((1 << CODE_LENGTH_BITS) - 1));
  const count = symbol & 0xf;
  writer.put((value < 0 ? value - 1 : value) & ((1 << count) - 1), count);
}

function magnitudeBits(value: number): number {
  return 32 - Math.clz32(Math.abs(value));
}

/** Divides by 8 × the steps (the transform leaves everything 8 times too large), rounding halves away from zero. */
function quantise(values: Int32Array, steps: Uint8Array): void {
  for (let place = 0; place < BLOCK_VALUES; place++) {
    const divisor = (steps[place] as number) * 8;
    const value = values[place] as number;
    const quotient = Math.floor((Math.abs(value) + divisor / 2) / divisor);
    values[place] = value < 0 ? -quotient : quotient;
  }
}

/** Places after the point of the constants, and of the values between the two passes. */
const CONSTANT_BITS = 13;
const PASS_BITS = 2;

function transform(values: Int32Array): void {
  for (let row = 0; row < SIDE; row++) transformLine(values, row * SIDE, 1, CONSTANT_BITS - PASS_BITS, -PASS_BITS);
  for (let column = 0; column < SIDE; column++) {
    transformLine(values, column, SIDE, CONSTANT_BITS + PASS_BITS, PASS_BITS);
  }
}

/** The forward DCT of the 8 values at `at`, `at + step` …, after Loeffler, Ligtenberg and Moschytz. */
function transformLine(values: Int32Array, at: number, step: number, shift: number, evenShift: number): void {
  const value = (index: number) => values[at + index * step] as number;
  const store = (index: number, result: number) => {
    values[at + index * step] = result;
  };
  const round = (product: number) => (product + (1 << (shift - 1))) >> shift;
  const roundEven = (sum: number) => (evenShift < 0 ? sum << -evenShift : (sum + (1 << (evenShift - 1))) >> evenShift);

  const [sum07, sum16, sum25, sum34] = [
    value(0) + value(7),
    value(1) + value(6),
    value(2) + value(5),
    value(3) + value(4),
  ];
  const [d7, d6, d5, d4] = [value(0) - value(7), value(1) - value(6), value(2) - value(5), value(3) - value(4)];
  const [outer, outerDifference] = [sum07 + sum34, sum07 - sum34];
  const [inner, innerDifference] = [sum16 + sum25, sum16 - sum25];
  store(0, roundEven(outer + inner));
  store(4, roundEven(outer - inner));
  const even = (innerDifference + outerDifference) * 4433;
  store(2, round(even + outerDifference * 6270));
  store(6, round(even - innerDifference * 15137));

  const shared = (d4 + d6 + d5 + d7) * 9633;
  const z3 = shared - (d4 + d6) * 16069;
  const z4 = shared - (d5 + d7) * 3196;
  const z1 = (d4 + d7) * -7373;
  const z2 = (d5 + d6) * -20995;
  store(7, round(d4 * 2446 + z1 + z3));
  store(5, round(d5 * 16819 + z2 + z4));
  store(3, round(d6 * 25172 + z2 + z3));
  store(1, round(d7 * 12299 + z1 + z4));
}
