/**
 * Reads and writes text files in the encodings of editors: UTF-8 with or without a byte order mark, UTF-16 with one.
 */

import type { ErrorCode } from '../errors/catalogue.ts';
import { FarmError } from '../errors/farm-error.ts';

export interface TextForm {
  readonly encoding: 'utf-8' | 'utf-16le' | 'utf-16be';
  /** Whether the file begins with a byte order mark. */
  readonly hasMark: boolean;
}

export interface DecodedText extends TextForm {
  /** Without the mark. */
  readonly text: string;
}

/** The form of a file that does not exist yet. */
export const NEW_TEXT_FORM: TextForm = { encoding: 'utf-8', hasMark: false };

const SAVE_AS = 'save it as UTF-8';
const MARK = '\uFEFF';
const MARKS: readonly { readonly bytes: readonly number[]; readonly encoding: TextForm['encoding'] | 'UTF-32' }[] = [
  // UTF-32 first: in its little-endian form it begins as UTF-16 does.
  { bytes: [0xff, 0xfe, 0, 0], encoding: 'UTF-32' },
  { bytes: [0, 0, 0xfe, 0xff], encoding: 'UTF-32' },
  { bytes: [0xef, 0xbb, 0xbf], encoding: 'utf-8' },
  { bytes: [0xff, 0xfe], encoding: 'utf-16le' },
  { bytes: [0xfe, 0xff], encoding: 'utf-16be' },
];

/**
 * The text of a file, whose encoding is recognised by its first bytes.
 * @param name path of the file, for messages.
 * @param code of the error, since only the caller knows what the file is for.
 * @throws FarmError that names the file: another encoding, or no text at all.
 */
export function decodeText(file: Uint8Array, name: string, code: ErrorCode): DecodedText {
  const mark = MARKS.find(({ bytes }) => bytes.every((byte, index) => file[index] === byte));
  const encoding = mark?.encoding ?? 'utf-8';
  if (encoding === 'UTF-32') throw new FarmError(code, `${name} is encoded in UTF-32: ${SAVE_AS}`);
  if (encoding === 'utf-8' && file.includes(0)) {
    throw new FarmError(code, `${name} has zero bytes: it is no text, or UTF-16 without a byte order mark; ${SAVE_AS}`);
  }
  try {
    return { text: new TextDecoder(encoding, { fatal: true }).decode(file), encoding, hasMark: mark !== undefined };
  } catch (cause) {
    const found = encoding === 'utf-8' ? 'is not encoded in UTF-8' : 'is damaged UTF-16';
    throw new FarmError(code, `${name} ${found}: ${SAVE_AS}`, { cause });
  }
}

/** The bytes of a text in the encoding of the file that it came from. */
export function encodeText(text: string, { encoding, hasMark }: TextForm): Buffer {
  const marked = hasMark ? `${MARK}${text}` : text;
  if (encoding === 'utf-8') return Buffer.from(marked, 'utf8');
  const bytes = Buffer.from(marked, 'utf16le');
  return encoding === 'utf-16le' ? bytes : bytes.swap16();
}
