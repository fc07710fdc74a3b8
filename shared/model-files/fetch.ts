import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../errors/farm-error.ts';
import { ignored } from '../process/unheard.ts';
import { shownAddress } from './address.ts';
import { GrowingRoom, type MakeRoom } from './growing-room.ts';
import type { OpenedFile, Source } from './source.ts';

/** One file from its server into a draft, gone on with where it broke off. */

/** Tries in a row that may bring no byte. */
const BARREN_TRIES = 4;
const FIRST_PAUSE_MS = 500;
const SILENT_FOR_MS = 30_000;

export interface FetchedFile {
  readonly sha256: string;
  readonly bytes: number;
  readonly tag: string;
}

export interface FetchOptions {
  readonly source: Source;
  readonly signal: AbortSignal;
  /** Tag of what is here already; undefined: nothing is. */
  readonly known?: string | undefined;
  /** Called before the first byte, with what is still to come and where it is known. */
  readonly onBegin?: (bytes: number | undefined) => Promise<void>;
  /** Called with the bytes of what has no known length, as they grow; what it throws is thrown. */
  readonly makeRoom?: MakeRoom;
  /** Called with bytes that have come, and with those that were here before. */
  readonly onBytes?: (bytes: number) => void;
}

/**
 * Fetches an address into the file `draft`. A draft of an earlier process is gone on with when the file is the same.
 * @returns undefined when the server has what is known already.
 * @throws FarmError `model_unreachable` after some tries; `model_file_missing`, `address_refused`, `storage_full`.
 */
export async function fetchInto(
  draft: string,
  address: string,
  options: FetchOptions,
): Promise<FetchedFile | undefined> {
  await mkdir(path.dirname(draft), { recursive: true });
  let pauseMs = FIRST_PAUSE_MS;
  for (let barren = 0; ; pauseMs *= 2) {
    const before = await sizeOf(draft);
    try {
      return await fetchOnce(draft, address, options);
    } catch (error) {
      options.signal.throwIfAborted();
      if (!isPassing(error)) throw error;
      barren = (await sizeOf(draft)) > before ? 0 : barren + 1;
      if (barren === 0) pauseMs = FIRST_PAUSE_MS;
      if (barren === BARREN_TRIES) throw unreachable(address, error);
    }
    await delay(pauseMs, undefined, { signal: options.signal });
  }
}

async function fetchOnce(draft: string, address: string, options: FetchOptions): Promise<FetchedFile | undefined> {
  const { source, signal, known, onBegin, onBytes } = options;
  const begunTag = await readFile(`${draft}.tag`, 'utf8').catch(ignored('nothing was begun', ''));
  const bytesHere = begunTag === '' ? 0 : await sizeOf(draft);
  const opened = await source.open(address, known, { tag: begunTag, bytes: bytesHere }, signal);
  if (opened === undefined) return undefined;
  try {
    const hash = createHash('sha256');
    if (opened.from > 0) for await (const piece of createReadStream(draft)) hash.update(piece as Buffer);
    await onBegin?.(opened.bytes === undefined ? undefined : opened.bytes - opened.from);
    onBytes?.(opened.from);
    await writeFile(`${draft}.tag`, opened.tag);
    const bytes = await receive(draft, opened, hash, options);
    if (opened.bytes !== undefined && bytes !== opened.bytes) {
      throw new FarmError(
        'model_unreachable',
        `${shownAddress(address)} broke off after ${bytes} of ${opened.bytes} bytes`,
      );
    }
    await rm(`${draft}.tag`, { force: true });
    return { sha256: hash.digest('hex'), bytes, tag: opened.tag };
  } finally {
    opened.body.destroy();
  }
}

/** Appends what comes. @returns the length of the whole file. */
async function receive(
  draft: string,
  { from, body, bytes }: OpenedFile,
  hash: Hash,
  { onBytes, makeRoom }: Pick<FetchOptions, 'onBytes' | 'makeRoom'>,
) {
  const room = bytes === undefined && makeRoom ? new GrowingRoom(makeRoom, from) : undefined;
  await using file = await open(draft, from > 0 ? 'r+' : 'w');
  let at = from;
  const silence = setTimeout(() => body.destroy(new Error(`nothing came for ${SILENT_FOR_MS} ms`)), SILENT_FOR_MS);
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      silence.refresh();
      await room?.grow(piece.length);
      hash.update(piece);
      await file.write(piece, 0, piece.length, at);
      at += piece.length;
      onBytes?.(piece.length);
    }
  } finally {
    clearTimeout(silence);
  }
  await file.truncate(at);
  await file.sync();
  return at;
}

async function sizeOf(file: string): Promise<number> {
  return await stat(file).then(({ size }) => size, ignored('nothing was begun', 0));
}

/** No answer, or one that broke off; not what our own disk says. */
function isPassing(error: unknown): boolean {
  if (error instanceof FarmError) return error.code === 'model_unreachable';
  return (error as NodeJS.ErrnoException).syscall === undefined || NETWORK.has((error as { code: string }).code);
}

const NETWORK = new Set(['ECONNRESET', 'ECONNREFUSED', 'ETIMEDOUT', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH']);

function unreachable(address: string, error: unknown): FarmError {
  if (error instanceof FarmError) return error;
  const message = `${shownAddress(address)} could not be read: ${(error as Error).message}`;
  return new FarmError('model_unreachable', message, { cause: error });
}

/** What a folder hashes to: its files' names and contents. */
export async function hashFolder(folder: string, hashOf: (file: string) => Promise<string>): Promise<string> {
  const hash = createHash('sha256');
  for (const name of (await readdir(folder)).sort()) hash.update(`${name}\0${await hashOf(path.join(folder, name))}\n`);
  return hash.digest('hex');
}
