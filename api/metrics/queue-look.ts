import type { Redis } from 'ioredis';
import { gpuQueue, MEDIA_QUEUES } from '../../shared/jobs/queues.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';

/** What is on the queues, read from BullMQ's keys by one script for many of them, however many jobs there are. */

export interface QueueLook {
  readonly queue: string;
  readonly waiting: number;
  readonly delayed: number;
  readonly active: number;
  readonly failed: number;
  /** Jobs that wait for others: the last step of renders that are being rendered. */
  readonly blocked: number;
  /** Age of the oldest job that waits, in s; 0 without. */
  readonly oldestSeconds: number;
}

/** Queues that are looked at by one script: Redis does nothing else meanwhile. */
const AT_ONCE = 100;
/**
 * Jobs at both ends of a queue among which the oldest is looked for. Those that are due next have waited longest for
 * their turn; those that are due last are the ends of the longest renders.
 */
const LOOK_THROUGH = 8;

/** ARGV how many jobs to look through, then of each queue the beginning of BullMQ's keys. Returns six numbers of each. */
const LOOK = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local depth = tonumber(ARGV[1])
local result = {}
for i = 2, #ARGV do
  local queue = ARGV[i]
  local oldest = now
  local function look(ids)
    for _, id in ipairs(ids) do
      local since = tonumber(redis.call('HGET', queue .. id, 'timestamp') or now)
      if since < oldest then oldest = since end
    end
  end
  look(redis.call('ZRANGE', queue .. 'prioritized', 0, depth - 1))
  look(redis.call('ZRANGE', queue .. 'prioritized', -depth, -1))
  look(redis.call('LRANGE', queue .. 'wait', -1, -1))
  table.insert(result, redis.call('LLEN', queue .. 'wait') + redis.call('ZCARD', queue .. 'prioritized'))
  table.insert(result, redis.call('ZCARD', queue .. 'delayed'))
  table.insert(result, redis.call('LLEN', queue .. 'active'))
  table.insert(result, redis.call('ZCARD', queue .. 'failed'))
  table.insert(result, redis.call('ZCARD', queue .. 'waiting-children'))
  table.insert(result, now - oldest)
end
return result
`;

const NUMBERS_A_QUEUE = 6;

/** The queues of the media workers, and those of these GPUs. */
export async function lookAtQueues(redis: Redis, gpuIds: readonly number[]): Promise<QueueLook[]> {
  const queues = [...MEDIA_QUEUES, ...gpuIds.map(gpuQueue)];
  const looks: QueueLook[] = [];
  for (let from = 0; from < queues.length; from += AT_ONCE) {
    const some = queues.slice(from, from + AT_ONCE);
    const prefixes = some.map((queue) => `${KEY_PREFIX}:${queue}:`);
    const numbers = (await redis.eval(LOOK, 0, LOOK_THROUGH, ...prefixes)) as number[];
    for (const [place, queue] of some.entries()) {
      const [waiting = 0, delayed = 0, active = 0, failed = 0, blocked = 0, oldestMs = 0] = numbers.slice(
        place * NUMBERS_A_QUEUE,
      );
      looks.push({ queue, waiting, delayed, active, failed, blocked, oldestSeconds: Math.max(0, oldestMs) / 1000 });
    }
  }
  return looks;
}
