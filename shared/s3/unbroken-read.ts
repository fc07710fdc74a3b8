import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { passesByItself } from './bucket-fault.ts';

/** Bytes of an object, both inclusive. */
export interface ObjectRange {
  readonly start: number;
  readonly end: number;
}

/** What an object is asked for. */
export interface PartWanted {
  /** Value of the header `Range`; absent: all of it. */
  readonly Range?: string;
  /** Of this version only. */
  readonly IfMatch?: string;
}

/** Answers that may break, one after the other, without a byte between. */
const BROKEN_ANSWERS = 4;

/**
 * The bytes of an object, or a range of them. An answer that breaks is asked for again where it broke; should the object
 * be another one by then, that request fails.
 * @param ask makes one request, and waits for its answer as long as it must.
 * @throws what `ask` throws, the signal's reason, or the error of an answer that broke too often.
 */
export async function* readUnbroken(
  ask: (wanted: PartWanted) => Promise<GetObjectCommandOutput>,
  range: ObjectRange | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  let at = range?.start ?? 0;
  let end = range?.end ?? Number.POSITIVE_INFINITY;
  let etag: string | undefined;
  for (let failures = 0; at <= end; ) {
    const part = range || at > 0 ? { Range: `bytes=${at}-${range?.end ?? ''}` } : {};
    const answer = await ask({ ...part, ...(etag ? { IfMatch: etag } : {}) });
    etag = answer.ETag;
    // Without a length it ends where the answer ends.
    if (end === Number.POSITIVE_INFINITY && answer.ContentLength !== undefined) end = at + answer.ContentLength - 1;
    // HTTP lets a server send everything instead of a range.
    const from = answer.ContentRange === undefined ? 0 : at;
    try {
      for await (const chunk of partOf(answer.Body as Readable, at - from, end - from)) {
        at += chunk.length;
        failures = 0;
        yield chunk;
      }
      return;
    } catch (error) {
      signal?.throwIfAborted();
      // The request for the rest waits as long as it must; a server that breaks every answer is given up.
      if (++failures === BROKEN_ANSWERS || !passesByItself(error)) throw error;
    }
  }
}

/** The bytes [first, last] of what comes. */
async function* partOf(bytes: AsyncIterable<Uint8Array>, first: number, last: number): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const chunk of bytes) {
    const part = chunk.subarray(Math.max(first - at, 0), Math.max(last + 1 - at, 0));
    at += chunk.length;
    if (part.length > 0) yield part;
    if (at > last + 1) return;
  }
}
