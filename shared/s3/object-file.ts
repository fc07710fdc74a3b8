import { buffer } from 'node:stream/consumers';
import type { OpenFile } from '../artifacts/store.ts';
import { FarmError } from '../errors/farm-error.ts';
import { MB } from '../units.ts';
import type { Bucket } from './bucket.ts';

/** Read at a time. A segment of four seconds hears 256 KB of sound. */
const BLOCK_BYTES = MB;
/** Whoever reads goes forward, or begins anew a little before: so the last few are enough. */
const MOST_BLOCKS = 3;

/**
 * Opens an object to read parts of it, a block at a time. It is not held on this host, and may be of any size.
 * @throws FarmError `storage_failed` when it is not there.
 */
export async function openObject(bucket: Bucket, key: string): Promise<OpenFile> {
  const found = await bucket.head(key);
  if (!found) throw new FarmError('storage_failed', `Could not read ${key}: it is not in the bucket`);
  const { bytes: sizeBytes } = found;
  const blocks = new Map<number, Promise<Buffer>>();
  const load = (index: number): Promise<Buffer> => {
    const start = index * BLOCK_BYTES;
    const bytes = bucket.read(key, { start, end: Math.min(start + BLOCK_BYTES, sizeBytes) - 1 });
    return buffer(bytes).catch((error: unknown) => {
      blocks.delete(index);
      throw error;
    });
  };
  const block = async (index: number): Promise<Buffer> => {
    const held = blocks.get(index) ?? load(index);
    // The one that was used last is the last to go.
    blocks.delete(index);
    blocks.set(index, held);
    const [oldest] = blocks.keys();
    if (blocks.size > MOST_BLOCKS && oldest !== undefined) blocks.delete(oldest);
    return await held;
  };
  return {
    sizeBytes,
    async read(into, position) {
      let filled = 0;
      while (filled < into.length && position + filled < sizeBytes) {
        const at = position + filled;
        const bytes = (await block(Math.floor(at / BLOCK_BYTES))).subarray(at % BLOCK_BYTES);
        const part = bytes.subarray(0, into.length - filled);
        if (part.length === 0) throw new FarmError('storage_failed', `Could not read ${key}: it has become shorter`);
        into.set(part, filled);
        filled += part.length;
      }
      return filled;
    },
    async [Symbol.asyncDispose]() {
      blocks.clear();
    },
  };
}
