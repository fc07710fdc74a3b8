/** MCUs of one row, written one after the other: twin of `writeMcu` in compositor.kernel.as.ts. */
import type { RgbImage } from '../pipeline/contract.ts';
import { MCU_SIDE } from './contract.ts';
import type { BitWriter } from './jpeg-bits.ts';
import { type BlockCoding, writeBlock, writeEmptyBlock } from './jpeg-block.ts';
import { makeMcuSamples, readMcu } from './jpeg-mcu.ts';
import {
  CHROMA_AC_CODES,
  CHROMA_DC_CODES,
  LUMA_AC_CODES,
  LUMA_DC_CODES,
  type QuantisationSteps,
} from './jpeg-tables.ts';

const BLOCK_SIDE = 8;

/** DC values of Y, Cb and Cr. */
export type DcValues = readonly [number, number, number];

export class McuRow {
  readonly #writer: BitWriter;
  readonly #luma: BlockCoding;
  readonly #chroma: BlockCoding;
  readonly #samples = makeMcuSamples();
  #dc: DcValues = [0, 0, 0];

  constructor(writer: BitWriter, { luma, chroma }: QuantisationSteps) {
    this.#writer = writer;
    this.#luma = { steps: luma, dcCodes: LUMA_DC_CODES, acCodes: LUMA_AC_CODES };
    this.#chroma = { steps: chroma, dcCodes: CHROMA_DC_CODES, acCodes: CHROMA_AC_CODES };
  }

  /** Number of the next bit. */
  get position(): number {
    return this.#writer.position;
  }

  /** DC values of the last MCU. */
  get dcValues(): DcValues {
    return this.#dc;
  }

  /** @param dcBefore of the MCU before the next one. */
  start(dcBefore: DcValues): void {
    this.#dc = dcBefore;
  }

  /** Writes the MCU at (x, y) of `picture`. Blocks that lie outside the picture are empty. */
  write({ data, width, height }: RgbImage, x: number, y: number): void {
    const stride = width * 3;
    const columns = Math.min(width - x, MCU_SIDE);
    const rows = Math.min(height - y, MCU_SIDE);
    const samples = this.#samples;
    readMcu({ rgb: data, start: y * stride + x * 3, stride, columns, rows }, samples);
    let [dcY, dcCb, dcCr] = this.#dc;
    for (const [right, down] of LUMA_BLOCKS) {
      if (right < columns && down < rows) {
        dcY = writeBlock(this.#writer, this.#luma, samples.y, down * MCU_SIDE + right, MCU_SIDE, dcY);
      } else {
        writeEmptyBlock(this.#writer, this.#luma);
      }
    }
    dcCb = writeBlock(this.#writer, this.#chroma, samples.cb, 0, BLOCK_SIDE, dcCb);
    dcCr = writeBlock(this.#writer, this.#chroma, samples.cr, 0, BLOCK_SIDE, dcCr);
    this.#dc = [dcY, dcCb, dcCr];
  }
}

const LUMA_BLOCKS = [
  [0, 0],
  [BLOCK_SIDE, 0],
  [0, BLOCK_SIDE],
  [BLOCK_SIDE, BLOCK_SIDE],
] as const;
