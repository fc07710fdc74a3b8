import { MB } from '../units.ts';

const LEAST_PART_BYTES = 8 * MB;
/** Each has an address in the answer. */
const MOST_PARTS = 200;

/** Bytes of each part of an upload but the last: so many that there are not too many parts. */
export function partBytesOf(bytes: number): number {
  return Math.max(LEAST_PART_BYTES, Math.ceil(bytes / MOST_PARTS));
}
