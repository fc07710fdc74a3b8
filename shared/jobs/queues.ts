import { FlowProducer, type JobsOptions, Queue, RedisConnection, type WorkerOptions } from 'bullmq';
import type { Redis } from 'ioredis';
import { ALIVE_EVERY_MS, DEAD_AFTER_MS } from '../process/signs-of-life.ts';
import { ignored } from '../process/unheard.ts';
import { KEY_PREFIX } from '../redis/key-prefix.ts';
import { OLDEST_REDIS } from '../redis/suitability.ts';
import type { RenderPriority, RenderRequest } from '../renders/record.ts';
import { MB } from '../units.ts';
import { type Job, type OfRender, prepareJobOf } from './jobs.ts';

/** Queues of the media workers: long sounds have one of their own, so that short ones never wait behind them. */
export const MEDIA_QUEUES = ['media', 'media-long'] as const;
/** Messages to webhooks, sent by the media workers. */
export const WEBHOOK_QUEUE = 'webhooks';
export type MediaQueue = (typeof MEDIA_QUEUES)[number];

/** 17 minutes of MP3, one and a half of uncompressed stereo: more may take seconds to decode. */
const LONG_UPLOAD_BYTES = 16 * MB;
/** Ten minutes: more may take seconds to join. */
const LONG_RENDER_FRAMES = 15_000;

/** The queue of the `prepare` job of an upload. */
export function prepareQueue(uploadBytes: number): MediaQueue {
  return uploadBytes < LONG_UPLOAD_BYTES ? 'media' : 'media-long';
}

/** The queue of the `stitch` job of a render. */
export function stitchQueue(frameCount: number): MediaQueue {
  return frameCount < LONG_RENDER_FRAMES ? 'media' : 'media-long';
}

/** Of the names of all GPUs' queues; the number follows. */
export const GPU_QUEUE_BEGINS = 'gpu-';

/** The queue of one GPU. Numbers are farm-wide: host A may serve 0–3 and host B 4–7. */
export function gpuQueue(gpuId: number): string {
  return `${GPU_QUEUE_BEGINS}${gpuId}`;
}

/** The lease of a queue: there while a process serves it. */
export const leaseKey = (queueName: string) => `${KEY_PREFIX}:lease:${queueName}`;

/** Every GPU that ever had a queue: a set of numbers. */
export const GPU_ROSTER_KEY = `${KEY_PREFIX}:gpus`;

/** Registers the queues of these GPUs, so that stand-ins find them when they have no worker. */
export async function enrolGpus(redis: Redis, gpuIds: readonly number[]): Promise<void> {
  if (gpuIds.length > 0) await redis.sadd(GPU_ROSTER_KEY, ...gpuIds);
}

/** Every GPU that ever had a queue. */
export async function enrolledGpus(redis: Redis): Promise<number[]> {
  return (await redis.smembers(GPU_ROSTER_KEY)).map(Number).sort((a, b) => a - b);
}

/** Number of jobs that wait, run or are to be retried on a queue. */
export async function backlogOf(queue: Queue): Promise<number> {
  const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed');
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** The priority of live jobs, and of messages to webhooks, which have a queue of their own. BullMQ has lower ones go first. */
export const LIVE_PRIORITY = 1;

const CLASSES: readonly RenderPriority[] = ['high', 'normal', 'low'];
/** How many priorities the segments of each class of renders have; BullMQ takes 2 097 151 in all. */
export const SEGMENT_BAND = 698_000;
const FIRST_OF_HIGH = { stitch: 100, prepare: 200, segment: 1000 } as const;
const NEXT_CLASS = { stitch: 200, prepare: 200, segment: SEGMENT_BAND } as const;

/**
 * The priority of a render's jobs, that of segments being where those of its class begin: worker/jobs/fair-order.ts adds
 * what decides their turn. A job without a priority would go before all others, so every job has one.
 */
export function firstPriority(name: keyof typeof FIRST_OF_HIGH, render: RenderPriority = 'normal'): number {
  return FIRST_OF_HIGH[name] + CLASSES.indexOf(render) * NEXT_CLASS[name];
}

/**
 * Channel for the name of a queue that got a live job, so that its worker looks at once, even when it is busy. All workers
 * hear it: it is for those that say in their heartbeats that they do not listen to the channel of their own queue.
 */
export const LIVE_CHANNEL = `${KEY_PREFIX}:live`;

/** Channel for the same, heard by the workers that serve this queue alone. */
export function liveChannelOf(queueName: string): string {
  return `${LIVE_CHANNEL}:${queueName}`;
}

/** Channel for the id of a model that every GPU worker is to unload as soon as it is not in use. */
export const UNLOAD_CHANNEL = `${KEY_PREFIX}:unload`;

/** Finished live jobs are never read, and there are thousands a minute. */
const KEEP_LIVE = { age: 60, count: 100 };
const KEEP_COMPLETED = { age: 24 * 3600, count: 2000 };
/** How long they are kept is in the section `retention` of the configuration. */
const KEEP_FAILED = { count: 2000 };
const BACKOFF = { type: 'exponential', delay: 500, jitter: 0.5 } as const;
/** Job data holds references only; anything larger contains pictures or sound by mistake. */
const MAX_DATA_BYTES = 16 * 1024;

/** @param priority on its queue; that of a normal render without it. */
export function jobOptions(job: Job, attempts: number, priority: number = usualPriority(job)): JobsOptions {
  return {
    jobId: jobId(job),
    priority,
    attempts,
    backoff: BACKOFF,
    removeOnComplete: job.name === 'live' ? KEEP_LIVE : KEEP_COMPLETED,
    removeOnFail: job.name === 'live' ? KEEP_LIVE : KEEP_FAILED,
    sizeLimit: MAX_DATA_BYTES,
  };
}

function usualPriority(job: Job): number {
  if (job.name === 'live' || job.name === 'webhook') return LIVE_PRIORITY;
  return firstPriority(job.name, job.name === 'segment' ? job.priority : undefined);
}

/** The same job always has the same id, so that adding it twice is harmless. */
export function jobId(job: Job): string {
  if (job.name === 'live') return `live-${job.requestId}-${job.attempt}`;
  if (job.name === 'webhook') return `webhook-${job.deliveryId}`;
  const base = `${job.name}-${job.renderId}${job.run === undefined ? '' : `-again${job.run}`}`;
  if (job.name !== 'segment') return base;
  return `${base}-${job.segmentIndex}${job.moved ? `-moved-${job.moved.times}` : ''}`;
}

/** Adds a render's first job; a job that is there already stays as it is. @param attempts as configured. */
export async function addPrepareJob(
  queues: QueueClients,
  render: OfRender & { readonly request: Pick<RenderRequest, 'uploadBytes' | 'priority' | 'range'> },
  attempts: number,
): Promise<void> {
  const job = prepareJobOf(render);
  const options = jobOptions(job, attempts, firstPriority(job.name, render.request.priority));
  await queues.media(prepareQueue(render.request.uploadBytes)).add(job.name, job, options);
}

/**
 * BullMQ asks Redis for its version once, when a queue is opened, and a queue that got no answer never works again. The
 * farm looks at the version itself (findRedisProblems), so that a queue needs no answer to be opened.
 */
const ASKS_NOTHING_FIRST = { prefix: KEY_PREFIX, skipVersionCheck: true } as const;
RedisConnection.minimumVersion = `${OLDEST_REDIS.major}.${OLDEST_REDIS.minor}.0`;

/** Connection faults reach the callers as rejected calls. Without a listener BullMQ would print them as well. */
export function openQueue(name: string, connection: Redis): Queue {
  const queue = new Queue(name, { connection, ...ASKS_NOTHING_FIRST, skipWaitingForReady: true });
  queue.on('error', ignored('the call that failed rejects, and the connection logs its own faults'));
  return queue;
}

/** Adds jobs together with the one that waits for them. */
export function openFlows(connection: Redis): FlowProducer {
  return new FlowProducer({ connection, ...ASKS_NOTHING_FIRST });
}

/** The queues that a process adds jobs to or reads, each opened when it is first needed. */
export class QueueClients {
  readonly #connection: Redis;
  readonly #queues = new Map<string, Queue>();

  constructor(connection: Redis) {
    this.#connection = connection;
  }

  /** The queue of one GPU; open until all are closed. */
  gpu(gpuId: number): Queue {
    return this.named(gpuQueue(gpuId));
  }

  media(name: MediaQueue): Queue {
    return this.named(name);
  }

  named(name: string): Queue {
    const queue = this.#queues.get(name) ?? openQueue(name, this.#connection);
    this.#queues.set(name, queue);
    return queue;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }
}

/** A dead worker is noticed when its job's lock has expired and another worker looks for stalled jobs. */
export const WORKER_TIMING = {
  lockDuration: DEAD_AFTER_MS,
  lockRenewTime: ALIVE_EVERY_MS,
  stalledInterval: 1000,
  /** A lost lock is no dead worker: worker/jobs/unended-runs.ts counts those. */
  maxStalledCount: Number.MAX_SAFE_INTEGER,
} as const satisfies Partial<WorkerOptions>;
