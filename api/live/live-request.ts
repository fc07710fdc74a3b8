import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { LiveJob } from '../../shared/jobs/jobs.ts';
import { gpuQueue, jobId, jobOptions, type QueueClients } from '../../shared/jobs/queues.ts';
import type { LiveSummary } from '../../shared/live/frames.ts';
import {
  LIVE_KEYS_LIFETIME_S,
  type LivePayload,
  liveAliveKey,
  livePayloadKey,
} from '../../shared/live/live-payload.ts';
import { frameChannelKey } from '../../shared/live/redis-channel.ts';
import type { VisualForm } from '../../shared/live/visual-frames.ts';
import { type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import { DEAD_AFTER_MS } from '../../shared/process/signs-of-life.ts';
import { ignored, unexpected } from '../../shared/process/unheard.ts';
import { CANCEL_CHANNEL } from '../../shared/renders/store.ts';
import { currentOrigin } from '../request-context.ts';
import type { LiveDispatcher, Placement, PlacementWish } from './dispatch.ts';
import { liveFormat } from './job-format.ts';
import type { RequestChannel } from './request-channel.ts';
import type { RequestChannels } from './request-channels.ts';

/** A live request, without the GPU and the attempt number, which may change while it runs. */
export type LiveWork = Omit<
  LiveJob,
  'name' | 'requestId' | 'origin' | 'attempt' | 'expiresAtMs' | 'direct' | 'format'
> &
  GpuWish;

/** Where it should run. */
export type GpuWish = Pick<PlacementWish, 'preferredGpu' | 'onlyGpu'>;

export interface LiveFrame {
  readonly frameIndex: number;
  readonly data: Buffer;
  readonly gpuId: number;
}

export interface LiveRequestTools {
  readonly redis: Redis;
  /** Where the keys of live requests are. */
  readonly liveRedis: Redis;
  readonly queues: QueueClients;
  readonly log: RepeatLog;
  readonly channels: RequestChannels;
  readonly dispatcher: LiveDispatcher;
  /** Told of every request that was answered. */
  readonly onAnswered?: ((times: LiveTimes) => void) | undefined;
  /** How long a request waits until a worker picks it up. */
  readonly waitMs: number;
}

/** Where the time of a request went, as its front end saw it. */
export interface LiveTimes {
  readonly frames: number;
  /** From the request to the end of its answer. */
  readonly wholeMs: number;
  /** Of that, until a worker had taken the job and opened the channel. */
  readonly queueMs: number;
  readonly moments: LiveSummary['moments'];
}

/** A dead worker costs one attempt; after three dead workers in a row the request itself is suspect. */
const MOST_ATTEMPTS = 3;
/** A client may stop reading for any time; frames that wait for it must not expire meanwhile. */
const RENEW_EVERY_MS = 30_000;
/** How long one blocking read waits before the worker's state is checked. */
const LOOK_EVERY_MS = 500;

/**
 * Runs live requests on the farm: places each, reads its frames, places it again when its worker dies, and cleans up.
 */
export class LiveRequests {
  readonly #tools: LiveRequestTools;

  constructor(tools: LiveRequestTools) {
    this.#tools = tools;
  }

  /**
   * The frames in order, each once, then the summary as return value. FarmError: deadline_exceeded when no worker picks
   * it up, request_cancelled on abort, worker_lost, the worker's error.
   */
  run(work: LiveWork, payload: LivePayload, signal: AbortSignal): AsyncGenerator<LiveFrame, LiveSummary> {
    return new LiveRun(this.#tools, work).frames(payload, signal);
  }
}

/** Where an attempt runs, and until when it waits to be picked up there, by performance.now(). */
type TimedPlacement = Placement & { readonly untilMs: number };

/** One request while it runs, through all its attempts. */
class LiveRun {
  readonly #tools: LiveRequestTools;
  readonly #work: Omit<LiveWork, keyof GpuWish>;
  readonly #gpuWish: GpuWish;
  readonly #requestId = randomBytes(9).toString('base64url');
  readonly #origin = currentOrigin();
  #visualForm: VisualForm = 'floats';
  /** The next frame to deliver. A new attempt may send earlier frames again: these are dropped. */
  #next: number;
  /** When a worker last said that it is at it. */
  #takenAtMs = performance.now();

  constructor(tools: LiveRequestTools, work: LiveWork) {
    this.#tools = tools;
    const { preferredGpu, onlyGpu, ...rest } = work;
    this.#work = rest;
    this.#gpuWish = { preferredGpu, onlyGpu };
    this.#next = work.frames.start;
  }

  async *frames(payload: LivePayload, signal: AbortSignal): AsyncGenerator<LiveFrame, LiveSummary> {
    const { redis, liveRedis, channels } = this.#tools;
    this.#visualForm = payload.visualForm;
    const channel = channels.open(this.#requestId, payload, this.#next);
    const asleep = ignored('a wake-up only: the worker sees within a second that the keys are gone');
    const onAbort = () => {
      channel.wake();
      if (channel.isInRedis) redis.publish(CANCEL_CHANNEL, this.#requestId).catch(asleep);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    const renewal = repeat(async () => (channel.isInRedis ? await this.#renewKeys() : undefined), {
      ...{ name: 'renew the keys of a live request', everyMs: RENEW_EVERY_MS, log: this.#tools.log },
    });
    try {
      let failedGpu: number | undefined;
      const startedAtMs = performance.now();
      for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
        const untilMs = performance.now() + this.#tools.waitMs;
        const place = await this.#place(failedGpu, untilMs, signal);
        const summary = yield* this.#attempt(attempt, { ...place, untilMs }, channel, signal);
        if (summary) {
          this.#tellTimes(startedAtMs, summary);
          return summary;
        }
        failedGpu = place.gpuId;
      }
      throw new FarmError('worker_lost', `${MOST_ATTEMPTS} GPU workers in a row went silent over this request`);
    } finally {
      renewal.stop().catch(unexpected);
      signal.removeEventListener('abort', onAbort);
      channel.close();
      const keys = [livePayloadKey, frameChannelKey, liveAliveKey].map((keyOf) => keyOf(this.#requestId));
      if (channel.isInRedis) liveRedis.del(...keys).catch(ignored('they expire by themselves'));
    }
  }

  /** @param untilMs how long the worker may keep it waiting. */
  #job(attempt: number, untilMs: number, direct: LiveJob['direct']): LiveJob {
    const wait = Math.max(0, untilMs - performance.now());
    // The time of the day is for workers of a version that compares it with its own clock.
    const times = { waitMs: wait, expiresAtMs: Date.now() + wait };
    const format = liveFormat({ ...this.#work, direct }, this.#visualForm);
    const work = { ...this.#origin, ...this.#work };
    return { name: 'live', requestId: this.#requestId, attempt, ...times, direct, ...format, ...work };
  }

  #tellTimes(startedAtMs: number, { moments }: LiveSummary): void {
    const { start, end } = this.#work.frames;
    const wholeMs = performance.now() - startedAtMs;
    this.#tools.onAnswered?.({ frames: end - start, wholeMs, queueMs: this.#takenAtMs - startedAtMs, moments });
  }

  async #renewKeys(): Promise<void> {
    const keys = [livePayloadKey, frameChannelKey].map((keyOf) => keyOf(this.#requestId));
    await Promise.all(keys.map((key) => this.#tools.liveRedis.expire(key, LIVE_KEYS_LIFETIME_S)));
  }

  /** A GPU to ask; waits for one to appear while there is none. */
  async #place(failedGpu: number | undefined, untilMs: number, signal: AbortSignal): Promise<Placement> {
    const wish = this.#wish(failedGpu);
    for (;;) {
      const place = await this.#tools.dispatcher.pick(wish);
      if (place) return place;
      if (performance.now() > untilMs) {
        const why = await this.#tools.dispatcher.whyNone(wish);
        throw new FarmError('deadline_exceeded', why ?? `No GPU worker that can render "${wish.modelId}" takes work`);
      }
      await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => {
        throw cancelled();
      });
    }
  }

  /** Of what is left of the request. @param avoid the GPU that has just failed it. */
  #wish(avoid: number | undefined): PlacementWish {
    const { modelId, frames, mouths } = this.#work;
    const left = frames.end - this.#next;
    return { modelId, frames: left, mouths, avoid, ...this.#gpuWish, visualForm: this.#visualForm };
  }

  /**
   * Undefined when the worker died, or failed in a way that another worker may not: then the request is placed again.
   */
  async *#attempt(
    attempt: number,
    place: TimedPlacement,
    channel: RequestChannel,
    signal: AbortSignal,
  ): AsyncGenerator<LiveFrame, LiveSummary | undefined> {
    const { gpuId } = place;
    const job = this.#job(attempt, place.untilMs, channel.begin(attempt, this.#next, place));
    const leave = this.#tools.dispatcher.occupy(gpuId, job.frames.end - this.#next);
    let [isQueued, done] = [false, false];
    try {
      isQueued = !(await channel.handOver(job));
      if (isQueued) await this.#queue(gpuId, job, channel);
      let heardAtMs = 0;
      for (;;) {
        const entries = await channel.next(LOOK_EVERY_MS);
        if (signal.aborted) throw cancelled();
        if (entries.length > 0) heardAtMs = performance.now();
        else if (channel.isLost || (await this.#isGivenUp(place, heardAtMs, isQueued))) return undefined;
        for (const entry of entries) {
          if (entry.type === 'taken') this.#takenAtMs = channel.takenAtMs ?? performance.now();
          if (entry.type === 'frame' && entry.frameIndex === this.#next) {
            this.#next++;
            yield { frameIndex: entry.frameIndex, data: entry.data, gpuId };
          }
          if (entry.type === 'failed') {
            const error = FarmError.fromReport(entry.error);
            if (await this.#mayDoBetterElsewhere(error, job, gpuId)) return undefined;
            throw error;
          }
          done = entry.type === 'done';
          if (entry.type === 'done') return entry.summary;
        }
      }
    } finally {
      leave();
      const stays = ignored('the worker finds that nobody waits any more, before the job or a second into it');
      if (isQueued && !done) await this.#withdraw(gpuId, job).catch(stays);
    }
  }

  /** The payload is there before the job: which follows it on the same connection, or waits for it to be in another Redis. */
  async #queue(gpuId: number, job: LiveJob, channel: RequestChannel): Promise<void> {
    const prepared = channel.prepare();
    if (this.#tools.liveRedis !== this.#tools.redis) await prepared;
    await Promise.all([prepared, this.#enqueue(gpuId, job)]);
  }

  async #mayDoBetterElsewhere(error: FarmError, { attempt }: LiveJob, gpuId: number): Promise<boolean> {
    if (!error.mayLieWithWorker || attempt === MOST_ATTEMPTS) return false;
    const other = await this.#tools.dispatcher.pick(this.#wish(gpuId));
    return other !== undefined && other.gpuId !== gpuId;
  }

  /**
   * @param heardAtMs when the worker last wrote something; 0 while no worker has picked the job up.
   * @param isQueued else its worker was connected when it took the job, and is as long as it is at it.
   */
  async #isGivenUp(place: TimedPlacement, heardAtMs: number, isQueued: boolean): Promise<boolean> {
    const { dispatcher, liveRedis, waitMs } = this.#tools;
    if (!(await dispatcher.isCurrent(place))) return true;
    if (!isQueued) return false;
    if (heardAtMs === 0 && !(await dispatcher.takesWork(place))) return true;
    const isSilent = async () => (await liveRedis.exists(liveAliveKey(this.#requestId))) === 0;
    if (heardAtMs > 0) return performance.now() - heardAtMs > DEAD_AFTER_MS && (await isSilent());
    if (performance.now() > place.untilMs) {
      throw new FarmError('deadline_exceeded', `No worker picked the request up within ${waitMs / 1000} s`);
    }
    return false;
  }

  async #enqueue(gpuId: number, job: LiveJob): Promise<void> {
    await this.#tools.queues.gpu(gpuId).add(job.name, job, jobOptions(job, 1));
    this.#wake(gpuId).catch(ignored('a wake-up only: no harm if it is lost'));
  }

  async #wake(gpuId: number): Promise<void> {
    const { redis, dispatcher } = this.#tools;
    await redis.publish(await dispatcher.wakeUpChannel(gpuId), gpuQueue(gpuId));
  }

  /** Removes the job from its queue, or tells the worker that runs it to stop. */
  async #withdraw(gpuId: number, job: LiveJob): Promise<void> {
    await this.#tools.redis.publish(CANCEL_CHANNEL, this.#requestId);
    await this.#tools.queues.gpu(gpuId).remove(jobId(job));
  }
}

function cancelled(): FarmError {
  return new FarmError('request_cancelled', 'The caller cancelled the request or its deadline passed');
}
