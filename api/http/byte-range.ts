import { FarmError } from '../../shared/errors/farm-error.ts';

/** Bytes [start, end], both inclusive, as HTTP counts them. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads a Range header (RFC 9110 §14). Undefined means the whole file: no header, another unit, or several ranges,
 * which a server may answer with everything. FarmError('range_unsatisfiable') for a range outside the file.
 */
export function parseByteRange(header: string | undefined, sizeBytes: number): ByteRange | undefined {
  const match = /^bytes=(?<first>\d*)-(?<last>\d*)$/.exec(header?.replaceAll(' ', '') ?? '');
  const { first = '', last = '' } = match?.groups ?? {};
  if (!match || (first === '' && last === '')) return undefined;
  const start = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (first !== '' && last !== '' && Number(last) < start) return undefined;
  if (start >= sizeBytes || (first === '' && last === '0')) {
    throw new FarmError('range_unsatisfiable', `${header} lies outside the file, which has ${sizeBytes} bytes`);
  }
  return { start, end };
}
