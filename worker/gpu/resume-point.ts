import type { Redis } from 'ioredis';
import type { LiveJob } from '../../shared/jobs.ts';
import { frameChannelKey, readEntryId } from '../../shared/live/frames.ts';

/** Where to resume a job that was picked up before, by a worker that drained and handed it back, or that died. */
export type ResumePoint =
  | { readonly state: 'fresh' }
  /** `frame` is the first one that is not in the channel. */
  | { readonly state: 'begun'; readonly frame: number }
  | { readonly state: 'over' };

/** Reads it off the last entry of the channel. */
export async function findResumePoint(redis: Redis, job: LiveJob): Promise<ResumePoint> {
  const [last] = await redis.xrevrangeBuffer(frameChannelKey(job.requestId), '+', '-', 'COUNT', 1);
  if (!last) return { state: 'fresh' };
  const { attempt, framesDone } = readEntryId(last[0].toString());
  if (attempt < job.attempt) return { state: 'fresh' };
  if (attempt > job.attempt || framesDone > job.frames.end) return { state: 'over' };
  return { state: 'begun', frame: Math.max(framesDone, job.frames.start) };
}
