import type { Redis } from 'ioredis';
import type { DirectChannel } from '../../shared/jobs.ts';
import type { DirectInbox } from '../../shared/live/direct/inbox.ts';
import type { ChannelEntry, FrameReader } from '../../shared/live/frames.ts';
import { announceLivePayload, saveLivePayload } from '../../shared/live/live-payload.ts';
import { RedisFrameReader } from '../../shared/live/redis-channel.ts';
import { ignored } from '../../shared/process/unheard.ts';
import type { Placement } from './dispatch.ts';
import type { ReadingConnections } from './reading-connections.ts';

/** While no worker is connected, it is looked so often whether one came over Redis. */
const LOOK_EVERY_MS = 100;

export interface RequestChannelTools {
  readonly redis: Redis;
  readonly readers: ReadingConnections;
  directFor(place: Placement, inbox: DirectInbox): DirectChannel | undefined;
  cameOverRedis(place: Placement): void;
  forget(inbox: DirectInbox): void;
}

/** Where an attempt may come from. */
interface Attempt {
  readonly place: Placement;
  readonly isDirect: boolean;
  /** A worker writes over Redis. */
  cameOverRedis: boolean;
}

/**
 * The front end's end of a request's frame channel, through all attempts: direct as long as that goes, else over Redis.
 */
export class RequestChannel implements FrameReader {
  readonly #inbox: DirectInbox;
  readonly #tools: RequestChannelTools;
  readonly #overRedis: RedisFrameReader;
  #connection: Redis | undefined;
  #saved: Promise<void> | undefined;
  #announced: Promise<void> | undefined;
  #attempt: Attempt | undefined;

  constructor(inbox: DirectInbox, tools: RequestChannelTools) {
    this.#inbox = inbox;
    this.#tools = tools;
    this.#overRedis = new RedisFrameReader(inbox.requestId, () => this.#blocking());
  }

  /**
   * Makes ready for an attempt, and fences earlier ones out.
   * @returns what the job says of the direct channel, and when the worker can get at the payload.
   */
  begin(attempt: number, nextFrame: number, place: Placement): { direct?: DirectChannel; ready: Promise<void> } {
    this.#inbox.begin(attempt, nextFrame);
    this.#overRedis.begin(attempt);
    const direct = this.#tools.directFor(place, this.#inbox);
    this.#attempt = { place, isDirect: direct !== undefined, cameOverRedis: false };
    return direct ? { direct, ready: this.#announce() } : { ready: this.#save() };
  }

  async next(waitMs: number): Promise<ChannelEntry[]> {
    const untilMs = performance.now() + waitMs;
    for (;;) {
      const leftMs = Math.max(0, untilMs - performance.now());
      const entries = await this.#nextFrom(leftMs);
      if (entries.length > 0 || this.#woken || performance.now() >= untilMs) return entries;
    }
  }

  #woken = false;

  /** When a worker connected for this attempt, by performance.now(); undefined over Redis. */
  get takenAtMs(): number | undefined {
    return this.#inbox.takenAtMs;
  }

  /** Ends a wait of `next` early, where that is possible, for good. */
  wake(): void {
    this.#woken = true;
    this.#inbox.wake();
  }

  /** Nobody reads any more. */
  close(): void {
    this.#tools.forget(this.#inbox);
    if (this.#connection) this.#tools.readers.giveBack(this.#connection);
  }

  async #nextFrom(waitMs: number): Promise<ChannelEntry[]> {
    const attempt = this.#attempt;
    if (!attempt?.isDirect) return await this.#overRedis.next(waitMs);
    if (this.#inbox.isConnected || this.#inbox.hasEntries) return await this.#inbox.next(waitMs);
    if (attempt.cameOverRedis) return await this.#overRedis.next(waitMs);
    const direct = await this.#inbox.next(Math.min(waitMs, LOOK_EVERY_MS));
    if (direct.length > 0 || this.#inbox.isConnected) return direct;
    const entries = await this.#overRedis.look(this.#tools.redis);
    if (entries.length === 0) return entries;
    attempt.cameOverRedis = true;
    this.#tools.cameOverRedis(attempt.place);
    // A worker that could not fetch the payload waits for it.
    await this.#save();
    return entries;
  }

  #announce(): Promise<void> {
    this.#announced ??= this.#heard(announceLivePayload(this.#tools.redis, this.#inbox.requestId));
    return this.#announced;
  }

  #save(): Promise<void> {
    this.#saved ??= this.#heard(saveLivePayload(this.#tools.redis, this.#inbox.requestId, this.#inbox.payload));
    return this.#saved;
  }

  #heard(saved: Promise<void>): Promise<void> {
    saved.catch(ignored('each attempt awaits it, and reports it'));
    return saved;
  }

  #blocking(): Redis {
    this.#connection ??= this.#tools.readers.lend();
    return this.#connection;
  }
}
