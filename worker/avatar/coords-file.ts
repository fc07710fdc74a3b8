/**
 * The boxes of an avatar of LiveTalking, `coords.pkl`: a pickled list with a tuple of four whole numbers for each
 * picture. Nothing in the file is run: numbers of Python and NumPy are all that it may hold.
 */

import { FarmError } from '../../shared/errors/farm-error.ts';
import { readWholeFile } from '../../shared/files/regular-file.ts';
import { PickleGlobal, type PickleWorld, readPickle } from '../checkpoints/pickle.ts';
import { Unreadable } from '../checkpoints/unreadable.ts';
import type { Rect } from '../pipeline/contract.ts';
import type { GivenRects } from './given-rects.ts';

/** A box that the picture's edge cut is no square, and few are; of other kinds of avatars hardly any is one. */
const LEAST_SQUARES = 0.5;

/**
 * Reads the boxes, in the order of the pictures.
 * @throws FarmError `model_unusable`: it cannot be read, holds something else, or boxes that are no squares, as those of
 * avatars for wav2lip and MuseTalk, whose networks the farm does not have.
 */
export async function readCoordRects(path: string): Promise<GivenRects> {
  const boxes = await readBoxes(path);
  const byNumber = new Map<number, Rect>();
  const faults = new Map<number, string>();
  let squares = 0;
  for (const [number, [x1, y1, x2, y2]] of boxes.entries()) {
    if (x1 < x2 && y1 < y2) byNumber.set(number, { x1, y1, x2, y2 });
    else faults.set(number, `box ${number} of ${path} is empty: (${x1}, ${y1}, ${x2}, ${y2})`);
    if (x1 < x2 && x2 - x1 === y2 - y1) squares++;
  }
  if (squares < LEAST_SQUARES * boxes.length) {
    throw unusable(
      path,
      'its boxes are no squares: it is an avatar for wav2lip or MuseTalk, and the farm has networks of Ultralight alone',
    );
  }
  return { source: path, byNumber, faults, passedOver: [] };
}

type Box = readonly [number, number, number, number];

async function readBoxes(path: string): Promise<readonly Box[]> {
  try {
    const { value } = readPickle(await readWholeFile(path), 0, new NumbersOnly());
    if (Array.isArray(value) && value.length > 0 && value.every(isBox)) return value as Box[];
  } catch (cause) {
    throw unusable(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
  throw unusable(path, 'expected a list of (x1, y1, x2, y2) in whole pixels, one a picture');
}

function isBox(value: unknown): value is Box {
  return Array.isArray(value) && value.length === 4 && value.every(Number.isInteger);
}

function unusable(path: string, why: string, cause?: unknown): FarmError {
  return new FarmError('model_unusable', `${path} cannot be used: ${why}`, { cause });
}

/** NumPy's whole numbers: a type, and the bytes of one number. */
class NumbersOnly implements PickleWorld {
  readonly #globals = new Map<string, PickleGlobal>();

  constructor() {
    // A type is a dict here, since a pickle sets its byte order as attributes, which are left: all write little-endian.
    this.#globals.set('numpy.dtype', new PickleGlobal('numpy.dtype', ([name]) => new Map([['dtype', name]])));
    for (const module of ['numpy.core.multiarray', 'numpy._core.multiarray']) {
      this.#globals.set(`${module}.scalar`, new PickleGlobal(`${module}.scalar`, wholeNumber));
    }
  }

  global(module: string, name: string): PickleGlobal {
    const found = this.#globals.get(`${module}.${name}`);
    if (found !== undefined) return found;
    const printable = `${module}.${name}`.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 120);
    throw new Unreadable(`its pickle names ${printable}: only whole numbers are read, and nothing in it is run`);
  }

  persistent(): never {
    throw new Unreadable('its pickle refers to something outside it');
  }
}

function wholeNumber([type, bytes]: readonly unknown[]): number {
  const name = type instanceof Map ? type.get('dtype') : undefined;
  if (bytes instanceof Buffer) {
    if (name === 'i4' && bytes.length === 4) return bytes.readInt32LE();
    if (name === 'i8' && bytes.length === 8) return Number(bytes.readBigInt64LE());
  }
  throw new Unreadable('its pickle has a number of NumPy that is not whole');
}
