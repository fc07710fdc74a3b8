import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type ErrorReport, FarmError } from '../errors/farm-error.ts';
import { storedErrorSchema, toStoredError } from '../formats/stored-error.ts';
import { ignored } from '../process/unheard.ts';
import { KEY_PREFIX } from '../redis/key-prefix.ts';
import { RedisUnavailable } from '../redis/outcome.ts';
import {
  type ChannelEntry,
  type ChannelRun,
  FencedOut,
  type FinishedFrame,
  type FrameReader,
  type FrameWriter,
  type LiveSummary,
  liveSummarySchema,
  type Opened,
} from './frames.ts';
import { LIVE_KEYS_LIFETIME_S, livePayloadKey, waitForLivePayload } from './live-payload.ts';

/**
 * The frame channel over Redis: one stream per request. Entry ids are `<attempt>-<frame + 1>`: Redis refuses an id that
 * is not above the last one, so a worker that was given up cannot write after its successor, and no frame comes twice.
 */

/** Opens the channel, unless the request was given up and its payload removed: then nobody would remove the channel. */
const OPEN = `
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('XADD', KEYS[1], ARGV[1], 'taken', ARGV[2])
return redis.call('EXPIRE', KEYS[1], ARGV[3])`;
/** Tries to write what may have been written, while the connection breaks again and again. */
const MOST_TRIES = 5;
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

/** The worker's end: see FrameWriter. */
export class RedisFrameWriter implements FrameWriter {
  readonly #redis: Redis;
  readonly #run: ChannelRun;
  readonly #key: string;
  readonly #payloadKey: string;

  constructor(redis: Redis, run: ChannelRun) {
    this.#redis = redis;
    this.#run = run;
    this.#key = frameChannelKey(run.requestId);
    this.#payloadKey = livePayloadKey(run.requestId);
  }

  /** Waits for a payload that is not in Redis yet: its front end puts it there when it sees that the job was taken. */
  async open(): Promise<Opened> {
    // A first pickup finds the channel empty, or is fenced out by it: then there is nothing to go on from.
    const firstFrame = this.#run.pickup > 1 ? await this.#firstMissing() : this.#run.frames.start;
    if (firstFrame === undefined) return { state: 'over' };
    const taken = this.taken();
    taken.catch(ignored('it is awaited below'));
    const payload = await waitForLivePayload(this.#redis, this.#run.requestId);
    if (!payload) return { state: 'gone' };
    try {
      await taken;
      return { state: 'wanted', payload, firstFrame };
    } catch (fault) {
      if (fault instanceof FencedOut) return { state: 'over' };
      throw fault;
    }
  }

  /** Tells the front end that a worker is at it. FencedOut also when nobody waits. */
  async taken(): Promise<void> {
    const entry = [this.#id('0'), JSON.stringify({ gpuId: this.#run.gpuId }), LIVE_KEYS_LIFETIME_S];
    const opened = this.#redis.eval(OPEN, 2, this.#key, this.#payloadKey, ...entry);
    await this.#fenced(
      opened.then((answer) => {
        if (answer !== 1) throw new FencedOut('The request was given up');
      }),
    );
  }

  /** Frames of one call reach the reader together. */
  async frames(frames: readonly FinishedFrame[]): Promise<void> {
    await this.#add(frames.map(toEntry));
    giveBack(frames);
  }

  async done(summary: LiveSummary, last: readonly FinishedFrame[]): Promise<void> {
    await this.#add([...last.map(toEntry), [LAST_SEQUENCE, 'done', JSON.stringify(summary)]]);
    giveBack(last);
  }

  async failed(error: ErrorReport): Promise<void> {
    await this.#add([[LAST_SEQUENCE, 'failed', JSON.stringify(toStoredError(error))]]);
  }

  close(): void {}

  /** The first frame that is not in the channel; undefined when it has been answered or a later attempt writes. */
  async #firstMissing(): Promise<number | undefined> {
    const { attempt, frames } = this.#run;
    const last = await this.#last();
    if (!last || last.attempt < attempt) return frames.start;
    if (last.attempt > attempt || last.framesDone > frames.end) return undefined;
    return Math.max(last.framesDone, frames.start);
  }

  /**
   * Several entries go in one transaction, so that the waiting reader is woken once and finds them all. A channel that
   * was removed is not created again: nobody would read it, and nothing would remove it.
   */
  async #add(entries: readonly WrittenEntry[]): Promise<void> {
    await this.#fenced(this.#addOnce(entries, MOST_TRIES));
  }

  /**
   * A transaction whose answers were lost in the middle is not sent again by itself. Doing it twice is harmless, unless
   * what follows it was faster: then it was never done, and the first fault stands.
   */
  async #addOnce(entries: readonly WrittenEntry[], tries: number): Promise<void> {
    const added = entries.length > 1 ? this.#redis.multi() : this.#redis.pipeline();
    for (const [sequence, field, value] of entries) {
      added.xadd(this.#key, 'NOMKSTREAM', this.#id(sequence), field, value);
    }
    try {
      for (const [fault] of (await added.exec()) ?? []) if (fault) throw fault;
    } catch (fault) {
      if (!(fault instanceof RedisUnavailable) || !fault.mayHaveRun || tries === 1) throw fault;
      if (await this.#isOvertaken(entries)) throw fault;
      await this.#addOnce(entries, tries - 1);
    }
  }

  /** True when later entries are in the channel and these are not. */
  async #isOvertaken([first]: readonly WrittenEntry[]): Promise<boolean> {
    const id = this.#id(first?.[0] ?? '0');
    const [found] = await this.#redis.xrangeBuffer(this.#key, id, '+', 'COUNT', 1);
    return found !== undefined && found[0].toString() !== id;
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
      if ((await this.#last())?.attempt !== this.#run.attempt) throw new FencedOut(error.message);
    }
  }

  async #last(): Promise<ReturnType<typeof readEntryId> | undefined> {
    const [last] = await this.#redis.xrevrangeBuffer(this.#key, '+', '-', 'COUNT', 1);
    return last && readEntryId(last[0].toString());
  }

  #id(sequence: string): string {
    return entryId(this.#run.attempt, sequence);
  }
}

/** Sequence, field, value. */
type WrittenEntry = readonly [string, ChannelEntry['type'], string | Buffer];

function toEntry({ frameIndex, data }: FinishedFrame): WrittenEntry {
  return [String(frameIndex + 1), 'frame', data];
}

/** Redis has them. */
function giveBack(frames: readonly FinishedFrame[]): void {
  for (const frame of frames) frame.giveBack?.();
}

/** The front end's end: see FrameReader. */
export class RedisFrameReader implements FrameReader {
  readonly #key: string;
  readonly #connection: () => Redis;
  #lastId = '0-0';
  #attempt = 1;

  /** @param connection for blocking reads: these keep everything else on it waiting. Asked for at the first. */
  constructor(requestId: string, connection: () => Redis) {
    this.#key = frameChannelKey(requestId);
    this.#connection = connection;
  }

  /** From now on, what earlier attempts have written and still write is passed over. */
  begin(attempt: number): void {
    this.#attempt = attempt;
  }

  async next(waitMs: number): Promise<ChannelEntry[]> {
    const blockMs = Math.max(1, Math.ceil(waitMs));
    return this.#take(await this.#connection().xreadBuffer('BLOCK', blockMs, 'STREAMS', this.#key, this.#lastId));
  }

  /** What is there now. @param redis any connection. */
  async look(redis: Redis): Promise<ChannelEntry[]> {
    return this.#take(await redis.xreadBuffer('STREAMS', this.#key, this.#lastId));
  }

  #take(answer: unknown): ChannelEntry[] {
    const [[, entries] = [undefined, []]] = (answer ?? []) as [Buffer, [Buffer, Buffer[]][]][];
    const last = entries.at(-1);
    if (last) this.#lastId = last[0].toString();
    return entries
      .filter(([id]) => readEntryId(id.toString()).attempt >= this.#attempt)
      .map(([id, [field, value]]) => fromEntry(id.toString(), String(field), value ?? Buffer.alloc(0)));
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
