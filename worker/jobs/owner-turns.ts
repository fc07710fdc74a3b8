import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import type { RenderPriority } from '../../shared/renders/record.ts';

/**
 * Fairness among API keys. On each queue the renders of one key share one line: a render begins behind those of its key
 * that wait to begin, and goes on the more slowly the more renders its key has. So a key with a thousand renders has no
 * more of a GPU than one with a single one, and its own renders still take turns among themselves.
 */

/** A render of a key, as it is put on one queue. */
export interface OwnersRender {
  readonly owner: string;
  /** Unfinished renders of the key, this one included. */
  readonly renders: number;
  /** Absent: normal. Each has a line of its own. */
  readonly priority?: RenderPriority | undefined;
  /** Id of the job of its first segment on the queue. */
  readonly firstJobId: string;
}

/** Kept until no render of the farm can be as old. */
const LIFETIME_S = 7 * 24 * 3600;
/** Ticks that a render may be stretched over: far less than the clock runs before it is set back. */
const MOST_TICKS = 180_000;

/** Names of keys have no colon. */
const lineOf = ({ owner, priority = 'normal' }: OwnersRender) =>
  priority === 'normal' ? owner : `${owner}:${priority}`;
const lineKey = (queue: Queue) => `${KEY_PREFIX}:turns:${queue.name}`;

/** How many ticks of waiting each tick of a render's work stands for, after its first segment. */
export function strideOf(renders: number, ticks: number): number {
  return Math.max(1, Math.min(renders, Math.floor(MOST_TICKS / Math.max(1, ticks))));
}

/**
 * When the first segment of the key's latest render on the queue is due, in ticks, if it still waits; 0 otherwise: then
 * the queue's clock has passed it.
 */
export async function endOfLine(redis: Redis, queue: Queue, render: OwnersRender): Promise<number> {
  const [due = '0', jobId] = (await redis.hget(lineKey(queue), lineOf(render)))?.split(' ') ?? [];
  if (jobId === undefined) return 0;
  return (await queue.getJobState(jobId)) === 'prioritized' ? Number(due) : 0;
}

/** @param due of the render's first segment, in ticks. */
export async function joinLine(redis: Redis, queue: Queue, due: number, render: OwnersRender): Promise<void> {
  const key = lineKey(queue);
  await redis.multi().hset(key, lineOf(render), `${due} ${render.firstJobId}`).expire(key, LIFETIME_S).exec();
}
