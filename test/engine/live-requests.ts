import { randomUUID } from 'node:crypto';
import type { Job, JobsOptions, Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { LiveJob } from '../../shared/jobs/jobs.ts';
import { gpuQueue, jobId, jobOptions, LIVE_CHANNEL, openQueue } from '../../shared/jobs/queues.ts';
import type { ChannelEntry, LiveSummary } from '../../shared/live/frames.ts';
import { type LivePayload, saveLivePayload } from '../../shared/live/live-payload.ts';
import { frameChannelKey, RedisFrameReader } from '../../shared/live/redis-channel.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { until } from '../support/until.ts';

const NOTHING = Buffer.alloc(0);
const MINUTE_MS = 60_000;

export interface LiveAnswer {
  /** In the order in which they came. */
  readonly frames: Map<number, Buffer>;
  readonly taken: number;
  readonly end: Extract<ChannelEntry, { type: 'done' | 'failed' }>;
  /** From the call of queue.add to the first frame, in ms. */
  readonly firstFrameMs: number;
}

/** A front end without a network: puts live jobs on a queue and reads what comes back. */
export class LiveRequests implements AsyncDisposable {
  readonly redis: Redis;
  readonly queue: Queue;
  readonly #url: string;

  constructor(redisUrl: string, gpuId = 0) {
    this.#url = redisUrl;
    this.redis = workerConnection(redisUrl);
    this.queue = openQueue(gpuQueue(gpuId), this.redis);
  }

  /** A job over the first frames of a sound of which nothing is known, with `changes`. */
  job(changes: Partial<LiveJob> = {}): LiveJob {
    return {
      name: 'live',
      requestId: randomUUID(),
      attempt: 1,
      modelId: 'small',
      frames: { start: 0, end: 1 },
      startFrameIndex: 0,
      totalSamples: 0,
      firstSample: 0,
      rowsAhead: 7,
      output: 'jpeg',
      jpegQuality: 75,
      expiresAtMs: Date.now() + MINUTE_MS,
      ...changes,
    };
  }

  async save(job: LiveJob, payload: Partial<LivePayload> = {}): Promise<void> {
    const { audio = NOTHING, visualFrames = NOTHING, audioFeatures = NOTHING, visualForm = 'floats' } = payload;
    await saveLivePayload(this.redis, job.requestId, { audio, visualFrames, visualForm, audioFeatures });
  }

  async add(job: LiveJob): Promise<void> {
    await this.queue.add(job.name, job, this.options(job));
    await this.redis.publish(LIVE_CHANNEL, this.queue.name);
  }

  options(job: LiveJob): JobsOptions {
    return jobOptions(job, 1);
  }

  /** What came of a job in the end, in the words that the dashboard shows. */
  async whenFinished(job: LiveJob): Promise<string> {
    // Asked for, not listened for: a listener that connects while the job ends misses its event.
    let ended: Job | undefined;
    await until('the job has ended', async () => {
      ended = await this.queue.getJob(jobId(job));
      return ended?.finishedOn !== undefined;
    });
    return String(ended?.failedReason || ended?.returnvalue);
  }

  async framesWritten(job: LiveJob): Promise<number> {
    return (await this.redis.xlen(frameChannelKey(job.requestId))) - 1;
  }

  /** Entries of a request's channel, each as it comes. */
  async *entries(requestId: string): AsyncGenerator<ChannelEntry> {
    const connection = workerConnection(this.#url);
    try {
      const reader = new RedisFrameReader(requestId, () => connection);
      while (true) yield* await reader.next(MINUTE_MS);
    } finally {
      connection.disconnect();
    }
  }

  /** Sends a request and waits for its end. */
  async ask(job: LiveJob, payload: Partial<LivePayload> = {}): Promise<LiveAnswer> {
    await this.save(job, payload);
    const addedAt = performance.now();
    const added = this.add(job);
    const frames = new Map<number, Buffer>();
    let taken = -1;
    let firstFrameMs = Number.NaN;
    for await (const entry of this.entries(job.requestId)) {
      if (entry.type === 'taken') taken = entry.gpuId;
      else if (entry.type === 'frame') {
        if (frames.size === 0) firstFrameMs = performance.now() - addedAt;
        frames.set(entry.frameIndex, entry.data);
      } else {
        await added;
        return { frames, taken, end: entry, firstFrameMs };
      }
    }
    throw new Error('unreachable: the channel has no end');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.queue.close();
    this.redis.disconnect();
  }
}

/** The summary of a request that succeeded. */
export function summaryOf({ end }: LiveAnswer): LiveSummary {
  if (end.type === 'done') return end.summary;
  throw new Error(`The request failed: ${end.error.code}: ${end.error.message}`);
}
