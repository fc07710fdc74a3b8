import type { Redis } from 'ioredis';
import { KEY_PREFIX } from '../redis/key-prefix.ts';
import { GPU_ROSTER_KEY, gpuQueue } from './queues.ts';

/** What is on many GPU queues at once, read from BullMQ's keys: thousands of queues cost a few commands. */

export interface QueueCounts {
  /** Jobs that could be taken. */
  readonly waiting: number;
  /** To be tried again later. */
  readonly delayed: number;
  readonly active: number;
}

/** Queues that are counted by one script: Redis does nothing else meanwhile. */
const COUNTED_AT_ONCE = 500;

/** KEYS any of the farm, by which a cluster knows the slot. ARGV: of each queue the beginning of BullMQ's keys. Returns of each: jobs that wait, are to be tried again, and run. */
const COUNT = `
local counts = {}
for _, queue in ipairs(ARGV) do
  table.insert(counts, redis.call('LLEN', queue .. 'wait') + redis.call('ZCARD', queue .. 'prioritized'))
  table.insert(counts, redis.call('ZCARD', queue .. 'delayed'))
  table.insert(counts, redis.call('LLEN', queue .. 'active'))
end
return counts
`;

/** In the order of the numbers. */
export async function countJobs(redis: Redis, gpuIds: readonly number[]): Promise<QueueCounts[]> {
  const found: QueueCounts[] = [];
  for (let from = 0; from < gpuIds.length; from += COUNTED_AT_ONCE) {
    const queues = gpuIds.slice(from, from + COUNTED_AT_ONCE).map((gpuId) => `${KEY_PREFIX}:${gpuQueue(gpuId)}:`);
    const counts = (await redis.eval(COUNT, 1, GPU_ROSTER_KEY, ...queues)) as number[];
    for (let place = 0; place < counts.length; place += 3) {
      const [waiting = 0, delayed = 0, active = 0] = counts.slice(place, place + 3);
      found.push({ waiting, delayed, active });
    }
  }
  return found;
}

/** Jobs that wait, run or are to be tried again. */
export function backlogIn({ waiting, delayed, active }: QueueCounts): number {
  return waiting + delayed + active;
}
