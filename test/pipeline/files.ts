/** Numbers on disk for the pipeline's tests: the shipped fixtures, and the original's where they are at hand. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FIXTURES = join(import.meta.dirname, '..', 'fixtures');
const REFERENCE = process.env.REFERENCE_DIR;

/** For a test's `skip`: false when the reference numbers are there, else why they are not. */
export const referenceMissing: string | false = !REFERENCE
  ? 'REFERENCE_DIR is not set: the numbers of the original Python pipeline are not at hand'
  : !existsSync(join(REFERENCE, 'speech.mel.f32')) && `REFERENCE_DIR=${REFERENCE} holds no reference numbers`;

export function fixtureBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(FIXTURES, name)));
}

export function fixtureFloats(name: string): Float32Array {
  return new Float32Array(fixtureBytes(name).buffer as ArrayBuffer);
}

export function referenceBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(join(REFERENCE ?? '', name)));
}

export function referenceFloats(name: string): Float32Array {
  return new Float32Array(referenceBytes(name).buffer as ArrayBuffer);
}

/** Largest |a − b|; infinite when the lengths differ or anything is not a number. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number));
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return largest;
}
