import type { Redis } from 'ioredis';
import type { DirectChannel, LiveJob } from '../../shared/jobs/jobs.ts';
import type { DirectInbox } from '../../shared/live/direct/inbox.ts';
import type { ChannelEntry, FrameReader } from '../../shared/live/frames.ts';
import { announceLivePayload, saveLivePayload } from '../../shared/live/live-payload.ts';
import { RedisFrameReader } from '../../shared/live/redis-channel.ts';
import { ignored } from '../../shared/process/unheard.ts';
import type { Placement } from './dispatch.ts';
import type { ReadingConnections } from './reading-connections.ts';

/** While no worker is connected, it is looked so often whether one came over Redis. */
const LOOK_EVERY_MS = 100;
/** A worker that runs says whether it takes a job within this time, however busy it is. */
const TAKE_WITHIN_MS = 500;
/** A worker that lost the connection in the middle of a job comes again within this time, or not at all. */
const AGAIN_WITHIN_MS = 1000;

export interface RequestChannelTools {
  readonly redis: Redis;
  readonly readers: ReadingConnections;
  offer(place: Placement, inbox: DirectInbox, job: LiveJob): boolean;
  directFor(place: Placement, inbox: DirectInbox): DirectChannel | undefined;
  cameOverRedis(place: Placement): void;
  forget(inbox: DirectInbox): void;
}

/** Where an attempt may come from. */
interface Attempt {
  readonly place: Placement;
  readonly isDirect: boolean;
  /** The worker took the job from this front end, and not from a queue: Redis knows nothing of it. */
  isHandedOver: boolean;
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

  /** Makes ready for an attempt, and fences earlier ones out. Returns what the job says of the direct channel. */
  begin(attempt: number, nextFrame: number, place: Placement): DirectChannel | undefined {
    this.#inbox.begin(attempt, nextFrame);
    this.#overRedis.begin(attempt);
    const direct = this.#tools.directFor(place, this.#inbox);
    this.#attempt = { place, isDirect: direct !== undefined, isHandedOver: false, cameOverRedis: false };
    return direct;
  }

  /**
   * Gives the attempt's job to its worker over the connection that this has to the front end. False when it has none, or
   * takes no job that way now: then the job has to go by the queue.
   */
  async handOver(job: LiveJob): Promise<boolean> {
    const attempt = this.#attempt;
    if (!attempt?.isDirect || !this.#tools.offer(attempt.place, this.#inbox, job)) return false;
    attempt.isHandedOver = await this.#inbox.isTaken(TAKE_WITHIN_MS);
    return attempt.isHandedOver;
  }

  /** For a job that goes by the queue: resolves when whoever takes it from there can get at the payload. */
  async prepare(): Promise<void> {
    await (this.#attempt?.isDirect ? this.#announce() : this.#save());
  }

  /** True once Redis knows of the request. */
  get isInRedis(): boolean {
    return this.#announced !== undefined || this.#saved !== undefined;
  }

  /** True when the worker that the job was handed to has left it, or is gone. */
  get isLost(): boolean {
    return this.#attempt?.isHandedOver === true && this.#inbox.isLost(AGAIN_WITHIN_MS);
  }

  async next(waitMs: number): Promise<ChannelEntry[]> {
    const untilMs = performance.now() + waitMs;
    for (;;) {
      const leftMs = Math.max(0, untilMs - performance.now());
      const entries = await this.#nextFrom(leftMs);
      if (entries.length > 0 || this.#woken || this.isLost || performance.now() >= untilMs) return entries;
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
    if (attempt.isHandedOver) return await this.#inbox.next(Math.min(waitMs, LOOK_EVERY_MS));
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
