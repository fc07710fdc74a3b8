import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type ErrorReport, FarmError } from '../errors.ts';
import { storedErrorSchema, toStoredError } from '../formats/stored-error.ts';
import { KEY_PREFIX } from '../redis.ts';
import { LIVE_KEYS_LIFETIME_S, livePayloadKey } from './live-payload.ts';

/**
 * The frame channel: how finished frames of a live request get from its worker to the front end that waits for them. It
 * is one Redis stream per request. Entry ids are `<attempt>-<frame + 1>`: Redis refuses an id that is not above the
 * last one, so a worker that was given up cannot write after its successor, and no frame comes twice.
 */

/** How the work went, sent after the last frame. */
export const liveSummarySchema = z.object({
  gpuId: z.int().nonnegative(),
  modelWasLoaded: z.boolean(),
  modelLoadMs: z.number(),
  audioMs: z.number(),
  inferenceMs: z.number(),
  compositeMs: z.number(),
});
export type LiveSummary = z.infer<typeof liveSummarySchema>;

export type ChannelEntry =
  | { type: 'taken'; gpuId: number }
  | { type: 'frame'; frameIndex: number; data: Buffer }
  | { type: 'done'; summary: LiveSummary }
  | { type: 'failed'; error: ErrorReport };

/** A frame as it leaves the farm. */
export interface FinishedFrame {
  readonly frameIndex: number;
  readonly data: Buffer;
}

/** A later attempt has taken over, or nobody waits any longer: frames that this attempt still makes are of no use. */
export class FencedOut extends Error {
  override readonly name = 'FencedOut';
}

/** Opens the channel, unless the request was given up and its payload removed: then nobody would remove the channel. */
const OPEN = `
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('XADD', KEYS[1], ARGV[1], 'taken', ARGV[2])
return redis.call('EXPIRE', KEYS[1], ARGV[3])`;
/** The id that says "after every frame of this attempt". */
const LAST_SEQUENCE = '18446744073709551615';

function entryId(attempt: number, sequence: string): string {
  return `${attempt}-${sequence}`;
}

/** What an entry's id says: the attempt that wrote it, and the frames that are in the channel with it. */
export function readEntryId(id: string): { attempt: number; framesDone: number } {
  const [attempt = 0, framesDone = 0] = id.split('-').map(Number);
  return { attempt, framesDone };
}

export const frameChannelKey = (requestId: string) => `${KEY_PREFIX}:live:${requestId}:out`;

/**
 * The worker's end. Every call rejects with FencedOut once a later attempt has written; `taken` also when nobody waits.
 */
export class FrameWriter {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #payloadKey: string;
  readonly #attempt: number;

  constructor(redis: Redis, requestId: string, attempt: number) {
    this.#redis = redis;
    this.#key = frameChannelKey(requestId);
    this.#payloadKey = livePayloadKey(requestId);
    this.#attempt = attempt;
  }

  async taken(gpuId: number): Promise<void> {
    const entry = [entryId(this.#attempt, '0'), JSON.stringify({ gpuId }), LIVE_KEYS_LIFETIME_S];
    const opened = this.#redis.eval(OPEN, 2, this.#key, this.#payloadKey, ...entry);
    await this.#fenced(
      opened.then((answer) => {
        if (answer !== 1) throw new FencedOut('The request was given up');
      }),
    );
  }

  /** Frames in order; they reach the reader together. */
  async frames(frames: readonly FinishedFrame[]): Promise<void> {
    await this.#add(frames.map(toEntry));
  }

  /** The last frames, if there are any left, and with them the summary. */
  async done(summary: LiveSummary, last: readonly FinishedFrame[]): Promise<void> {
    await this.#add([...last.map(toEntry), [LAST_SEQUENCE, 'done', JSON.stringify(summary)]]);
  }

  async failed(error: ErrorReport): Promise<void> {
    await this.#add([[LAST_SEQUENCE, 'failed', JSON.stringify(toStoredError(error))]]);
  }

  /**
   * Several entries go in one transaction, so that the waiting reader is woken once and finds them all. A channel that
   * was removed is not created again: nobody would read it, and nothing would remove it.
   */
  async #add(entries: readonly WrittenEntry[]): Promise<void> {
    const added = entries.length > 1 ? this.#redis.multi() : this.#redis.pipeline();
    for (const [sequence, field, value] of entries) {
      added.xadd(this.#key, 'NOMKSTREAM', entryId(this.#attempt, sequence), field, value);
    }
    await this.#fenced(
      added.exec().then((answers) => {
        for (const [fault] of answers ?? []) if (fault) throw fault;
      }),
    );
  }

  /**
   * Waits for a write. One that was refused although this attempt wrote last was written before: its answer was lost
   * with the connection, and it came again.
   */
  async #fenced(added: Promise<unknown>): Promise<void> {
    try {
      await added;
    } catch (error) {
      if (!(error instanceof Error && error.message.includes('equal or smaller'))) throw error;
      if (!(await this.#isLatest())) throw new FencedOut(error.message);
    }
  }

  async #isLatest(): Promise<boolean> {
    const [last] = await this.#redis.xrevrangeBuffer(this.#key, '+', '-', 'COUNT', 1);
    return last !== undefined && readEntryId(last[0].toString()).attempt === this.#attempt;
  }
}

/** Sequence, field, value. */
type WrittenEntry = readonly [string, ChannelEntry['type'], string | Buffer];

function toEntry({ frameIndex, data }: FinishedFrame): WrittenEntry {
  return [String(frameIndex + 1), 'frame', data];
}

/**
 * The waiting end. It needs a connection of its own: a blocking read keeps everything else on its connection waiting.
 */
export class FrameReader {
  readonly #connection: Redis;
  readonly #key: string;
  #lastId = '0-0';

  constructor(connection: Redis, requestId: string) {
    this.#connection = connection;
    this.#key = frameChannelKey(requestId);
  }

  /** Entries that come within `waitMs`, in order; empty when none did. */
  async next(waitMs: number): Promise<ChannelEntry[]> {
    const blockMs = Math.max(1, Math.ceil(waitMs));
    const answer = await this.#connection.xreadBuffer('BLOCK', blockMs, 'STREAMS', this.#key, this.#lastId);
    const entries = ((answer as [Buffer, [Buffer, Buffer[]][]][] | null)?.[0]?.[1] ?? []) as [Buffer, Buffer[]][];
    const last = entries.at(-1);
    if (last) this.#lastId = last[0].toString();
    return entries.map(([id, [field, value]]) => fromEntry(id.toString(), String(field), value ?? Buffer.alloc(0)));
  }
}

function fromEntry(id: string, field: string, value: Buffer): ChannelEntry {
  switch (field) {
    case 'taken':
      return { type: 'taken', gpuId: z.object({ gpuId: z.int() }).parse(JSON.parse(value.toString())).gpuId };
    case 'frame':
      return { type: 'frame', frameIndex: readEntryId(id).framesDone - 1, data: value };
    case 'done':
      return { type: 'done', summary: liveSummarySchema.parse(JSON.parse(value.toString())) };
    case 'failed':
      return { type: 'failed', error: storedErrorSchema.parse(JSON.parse(value.toString())) };
    default:
      throw new FarmError('internal', `Frame channel entry of unknown kind "${field}"`);
  }
}
