import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { enrolledGpus, gpuQueue, MEDIA_QUEUES, type QueueClients, WEBHOOK_QUEUE } from '../jobs/queues.ts';
import { DAY_MS } from '../units.ts';

/** Jobs that have failed, on queues that may have nothing to do any more: BullMQ itself tidies up after new jobs only. */
export interface OldJobs {
  readonly queue: Queue;
  readonly count: number;
}

/** Removed at a time. */
const PIECE = 1000;

/** @param days since they failed; 0: none is old. */
export async function findOldJobs(redis: Redis, queues: QueueClients, days: number): Promise<OldJobs[]> {
  if (days === 0) return [];
  const names = [...MEDIA_QUEUES, WEBHOOK_QUEUE, ...(await enrolledGpus(redis)).map(gpuQueue)];
  const all = names.map((name) => queues.named(name));
  const counts = await Promise.all(all.map((queue) => redis.zcount(queue.toKey('failed'), '-inf', before(days))));
  return all.flatMap((queue, index) => {
    const count = counts[index] ?? 0;
    return count > 0 ? [{ queue, count }] : [];
  });
}

export async function removeOldJobs({ queue }: OldJobs, days: number): Promise<void> {
  while ((await queue.clean(days * DAY_MS, PIECE, 'failed')).length === PIECE);
}

/** BullMQ notes ends by the clocks of the workers, which may differ by minutes: days do not mind. */
function before(days: number): number {
  return Date.now() - days * DAY_MS;
}
