import type { Redis } from 'ioredis';
import { z } from 'zod';
import { backlogIn, countJobs, type QueueCounts } from '../../shared/jobs/queue-counts.ts';
import { enrolledGpus, gpuQueue, leaseKey } from '../../shared/jobs/queues.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { GpuDrains } from '../../shared/workers/gpu-drains.ts';
import { readHeartbeats, workerOf } from '../../shared/workers/heartbeat.ts';

/**
 * Which GPU queues have work that others might do. One worker at a time looks at all queues and leaves what it found in
 * Redis for the others: if each of them looked, a farm of N GPUs would read N × N queues a second.
 */

const SURVEY_KEY = `${KEY_PREFIX}:queues:survey`;
const TURN_KEY = `${KEY_PREFIX}:queues:survey:turn`;
/** How long a survey is good for: the more GPUs the longer, so that a small farm looks every time. */
const GOOD_FOR_MS = { aGpu: 10, most: 1000 } as const;
/** A survey that nobody has replaced for so long says nothing. */
const LIFETIME_MS = 10_000;
/** The longest queues are enough to choose from. */
const MOST_LISTED = 64;
const busyQueueSchema = z.object({
  gpuId: z.int(),
  /** Jobs that could be taken. */
  waiting: z.int(),
  active: z.int(),
  /** True when its own worker takes no jobs from it. */
  abandoned: z.boolean(),
  /** Its own worker; null without one. */
  workerId: z.string().nullable(),
});
export type BusyQueue = z.infer<typeof busyQueueSchema>;

const surveySchema = z.object({
  /** Queues with something waiting, or begun by a worker that is gone: abandoned ones first, then the longest. */
  busy: z.array(busyQueueSchema),
  /** GPUs whose queues have jobs and no process that serves them. */
  orphans: z.array(z.int()),
});
export type Survey = z.infer<typeof surveySchema>;

const NOTHING: Survey = { busy: [], orphans: [] };

export class QueueSurvey {
  readonly #redis: Redis;
  readonly #drains: GpuDrains;

  constructor(redis: Redis) {
    this.#redis = redis;
    this.#drains = new GpuDrains(redis);
  }

  /** The latest survey, at most a second old, or a new one that this makes. One command where somebody has made it. */
  async read(): Promise<Survey> {
    const [turn, last = null] = await this.#redis.mget(TURN_KEY, SURVEY_KEY);
    const isOwnTurn = turn === null && (await this.#redis.set(TURN_KEY, 1, 'PX', GOOD_FOR_MS.most, 'NX')) !== null;
    if (isOwnTurn) return await this.#make();
    return last === null ? NOTHING : (surveySchema.safeParse(JSON.parse(last)).data ?? NOTHING);
  }

  async #make(): Promise<Survey> {
    const gpuIds = await enrolledGpus(this.#redis);
    const survey = await this.#look(gpuIds);
    const goodForMs = Math.min(GOOD_FOR_MS.most, Math.max(1, GOOD_FOR_MS.aGpu * gpuIds.length));
    await Promise.all([
      this.#redis.set(SURVEY_KEY, JSON.stringify(survey), 'PX', LIFETIME_MS),
      this.#redis.set(TURN_KEY, 1, 'PX', goodForMs),
    ]);
    return survey;
  }

  async #look(gpuIds: readonly number[]): Promise<Survey> {
    const [heartbeats, drained] = await Promise.all([readHeartbeats(this.#redis), this.#drains.all()]);
    const [counts, leases] = await Promise.all([countJobs(this.#redis, gpuIds), this.#leases(gpuIds)]);
    const busy = gpuIds.map((gpuId, index): BusyQueue => {
      const { waiting, delayed, active } = counts[index] as QueueCounts;
      const worker = workerOf(heartbeats, gpuId);
      const workerId = worker?.workerId ?? null;
      const abandoned = drained.has(gpuId) || !worker || worker.draining;
      // Jobs that wait for their next try become available only when a worker takes from the queue.
      return { gpuId, waiting: waiting + (abandoned ? delayed : 0), active, abandoned, workerId };
    });
    const orphans = gpuIds.filter((_, index) => !leases[index] && backlogIn(counts[index] as QueueCounts) > 0);
    return {
      busy: busy
        .filter(({ waiting, active, abandoned }) => waiting > 0 || (abandoned && active > 0))
        .sort((a, b) => Number(b.abandoned) - Number(a.abandoned) || b.waiting - a.waiting)
        .slice(0, MOST_LISTED),
      orphans: orphans.slice(0, MOST_LISTED),
    };
  }

  /** Of each queue: what its lease says, or null without one. */
  async #leases(gpuIds: readonly number[]): Promise<(string | null)[]> {
    return gpuIds.length > 0 ? await this.#redis.mget(gpuIds.map((gpuId) => leaseKey(gpuQueue(gpuId)))) : [];
  }
}
