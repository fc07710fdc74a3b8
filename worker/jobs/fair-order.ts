import type { Job as BullJob, Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { jobSchema } from '../../shared/jobs/jobs.ts';
import { firstPriority, LIVE_PRIORITY, SEGMENT_BAND } from '../../shared/jobs/queues.ts';
import type { RenderPriority } from '../../shared/renders/record.ts';
import { endOfLine, joinLine, type OwnersRender, strideOf } from './owner-turns.ts';

/**
 * In which order a GPU queue gives the segments of several renders out: self-clocked fair queueing
 * (docs/decisions/0039). A queue has a clock, in ticks of work. A segment is due at the clock's time when it was put
 * there, plus the work of its render up to its own end; the one that is due first goes first, and of several that are
 * due at the same time the one that came first. The clock is read off the queue itself: it stands where the segments
 * that run and wait are.
 *
 * Renders of each priority have a band of BullMQ's priorities and a clock of their own, so one that is high goes before
 * all that are not (docs/decisions/0079).
 */

/** A second of most videos; any part of one counts whole. */
const FRAMES_PER_TICK = 25;
/** The clock is set back by so much once it has passed it: what is due afterwards must still lie in its band. */
const RESTART_TICKS = 450_000;
/** BullMQ orders jobs by their priority times this, plus a number that counts them. */
const SCORE_OF_PRIORITY = 2 ** 32;

const ticksOf = (frames: number) => Math.ceil(frames / FRAMES_PER_TICK);
/** When a segment is due, by the clock of its own band. */
const dueAt = (priority: number) => (priority - firstPriority('segment', 'high')) % SEGMENT_BAND;
/** The priority of what is due at the clock's 0. */
const startOf = (priority: number) => priority - dueAt(priority);

/** A segment on a queue, as far as the order goes. */
export interface QueuedSegment {
  readonly priority: number;
  readonly frames: number;
}

/**
 * Where the clock of a queue stands, in ticks. 0 when no segment waits: a new one has none to overtake.
 * @param running segments that run now.
 * @param next the one that goes next.
 */
export function clockOf(running: readonly QueuedSegment[], next: QueuedSegment | undefined): number {
  if (!next) return 0;
  const latest = dueAt(next.priority);
  // What runs may be due later than what waits, after the clock was set back, or earlier, when it was tried again.
  const begun = Math.min(latest, Math.max(0, ...running.map(({ priority }) => dueAt(priority))));
  return Math.max(begun, latest - ticksOf(next.frames));
}

/**
 * The priorities of a render's segments on one queue, in their order: lower goes first.
 * @param clockTicks where the queue's clock stands.
 * @param frameCounts frames of each segment.
 * @param stride ticks for each tick of work after the first segment.
 */
export function fairPriorities(
  clockTicks: number,
  frameCounts: readonly number[],
  priority?: RenderPriority,
  stride = 1,
): number[] {
  let due = clockTicks;
  return frameCounts.map((frames, index) => {
    due += ticksOf(frames) * (index === 0 ? 1 : stride);
    return firstPriority('segment', priority) + Math.min(SEGMENT_BAND - 1, due);
  });
}

/**
 * The priorities that segments of one render need on this queue to get their fair turn.
 * @param frameCounts frames of each segment, in their order.
 */
export async function fairTurns(
  queue: Queue,
  frameCounts: readonly number[],
  priority?: RenderPriority,
): Promise<number[]> {
  return fairPriorities(await clockAt(queue, firstPriority('segment', priority)), frameCounts, priority);
}

/** The same for a render of an API key: keys have equal shares, and renders have equal shares of their key's. */
export async function fairTurnsOfOwner(
  redis: Redis,
  queue: Queue,
  frameCounts: readonly number[],
  render: OwnersRender,
): Promise<number[]> {
  const first = firstPriority('segment', render.priority);
  const clock = await clockAt(queue, first);
  const end = await endOfLine(redis, queue, render);
  // What is so far ahead was noted by a clock that has been set back since.
  const start = end - clock > RESTART_TICKS / 2 ? clock : Math.max(clock, end);
  const ticks = frameCounts.reduce((sum, frames) => sum + ticksOf(frames), 0);
  const priorities = fairPriorities(start, frameCounts, render.priority, strideOf(render.renders, ticks));
  await joinLine(redis, queue, dueAt(priorities[0] ?? first), render);
  return priorities;
}

/** @param first priority of the band. */
async function clockAt(queue: Queue, first: number): Promise<number> {
  await setClockBack(queue, RESTART_TICKS, first);
  const [running, [next]] = await Promise.all([queue.getActive(), endsOfBand(queue, first)]);
  const own = running.filter((job) => startOf(job.priority) === first);
  return clockOf(segmentsIn(own), segmentsIn([next])[0]);
}

/** The segment that goes next: live jobs wait before it. */
export async function nextSegment(queue: Queue): Promise<BullJob | undefined> {
  const counts = await queue.getCountsPerPriority([LIVE_PRIORITY]);
  const live = counts[LIVE_PRIORITY] ?? 0;
  return (await queue.getPrioritized(live, live))[0];
}

/** The first and the last of the segments that wait in a band. */
async function endsOfBand(queue: Queue, first: number): Promise<(BullJob | undefined)[]> {
  // Every queue of the farm is opened on a connection: shared/jobs/queues.ts.
  const [key, redis] = [queue.toKey('prioritized'), queue.opts.connection as Redis];
  const [from, to] = [first * SCORE_OF_PRIORITY, `(${(first + SEGMENT_BAND) * SCORE_OF_PRIORITY}`];
  const ids = await Promise.all([
    redis.zrangebyscore(key, from, to, 'LIMIT', 0, 1),
    redis.zrevrangebyscore(key, to, from, 'LIMIT', 0, 1),
  ]);
  return await Promise.all(ids.map(async ([id]) => (id === undefined ? undefined : await queue.getJob(id))));
}

/**
 * Sets the clock of a band back by `ticks` once it has passed that: makes everything in it due so much earlier. A queue
 * gets there only when it has not been empty for days. Doing it twice at a time does no harm, and what was put there
 * meanwhile is put right by the next one.
 * @param first priority of the band.
 */
export async function setClockBack(
  queue: Queue,
  ticks: number,
  first: number = firstPriority('segment'),
): Promise<void> {
  const [next, last] = await endsOfBand(queue, first);
  if (!next || !last) return;
  // No render is half as long: what is due so much later was put there by a clock that has been set back since.
  const isOfOldClock = (due: number) => due > ticks || due - dueAt(next.priority) > ticks / 2;
  if (!isOfOldClock(dueAt(next.priority)) && !isOfOldClock(dueAt(last.priority))) return;
  for (const job of await queue.getJobs(['active', 'prioritized', 'delayed'], 0, -1, true)) {
    const due = dueAt(job.priority);
    if (startOf(job.priority) !== first || !isOfOldClock(due)) continue;
    await job.changePriority({ priority: first + Math.max(0, due - ticks) });
  }
}

function segmentsIn(jobs: readonly (BullJob | undefined)[]): QueuedSegment[] {
  return jobs.flatMap((job) => {
    const { data } = jobSchema.safeParse(job?.data);
    if (!job || data?.name !== 'segment') return [];
    return [{ priority: job.priority, frames: data.frames.end - data.frames.start }];
  });
}
