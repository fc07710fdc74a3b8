import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { ERROR_CATALOGUE, type ErrorCode } from '../../shared/errors/catalogue.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { prepareJobOf, type RenderJob, stitchJobOf } from '../../shared/jobs/jobs.ts';
import { jobId, prepareQueue, type QueueClients, stitchQueue } from '../../shared/jobs/queues.ts';
import type { RenderPlan, RenderRecord } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import type { Dispatcher } from './dispatch.ts';
import { segmentsDone } from './use-kept-segments.ts';

/** What keeps a render from ever going on, and what is to be done about it. */
export interface Finding {
  /** In words, for the log; the same words as long as the same is missing. */
  readonly what: string;
  mend(): Promise<void>;
}

export interface LostWorkTools {
  readonly redis: Redis;
  readonly renders: RenderStore;
  readonly queues: QueueClients;
  readonly dispatcher: Dispatcher;
}

/** Any of these ends by itself in another one. */
const GOES_ON: ReadonlySet<string> = new Set(['waiting', 'prioritized', 'delayed', 'active']);
/** What BullMQ notes of a job that was to wait for one that has failed. */
const FAILED_SEGMENT = /^child \S+?:([^:]+):(segment-\S+) failed$/;
const SEGMENTS_AT_ONCE = 50;
const SEGMENT_KEY = /:([^:]+):(segment-.+?-(\d+)(?:-moved-(\d+))?)$/;

/** Compares a render's record with the jobs that are to move it on. The record is the truth; jobs can be made again. */
export class LostWork {
  readonly #tools: LostWorkTools;
  /** Where the look at the waiting segments of a render goes on. */
  readonly #cursors = new Map<string, number>();
  #segmentsLeft = 0;

  constructor(tools: LostWorkTools) {
    this.#tools = tools;
  }

  /**
   * Begins a new look at all unfinished renders, which are these.
   * @param segments at most so many waiting segments are looked at; the looks to come go on behind them.
   */
  beginLook(renderIds: ReadonlySet<string>, segments: number): void {
    this.#segmentsLeft = segments;
    for (const id of this.#cursors.keys()) if (!renderIds.has(id)) this.#cursors.delete(id);
  }

  /** Undefined for a render that goes on. */
  async find(record: RenderRecord): Promise<Finding | undefined> {
    const { status, plan } = record;
    if (status === 'queued' || status === 'preparing') return await this.#ofPrepare(record);
    if (plan && (status === 'rendering' || status === 'stitching')) return await this.#ofStitch(record, plan);
    return undefined;
  }

  async #ofPrepare(record: RenderRecord): Promise<Finding | undefined> {
    const { request } = record;
    const queue = this.#tools.queues.media(prepareQueue(request.uploadBytes));
    const job = prepareJobOf(record);
    const state = await queue.getJobState(jobId(job));
    if (GOES_ON.has(state)) return undefined;
    if (state === 'failed') return await this.#failed(job, queue);
    return this.#finding(`${record.status}, and its prepare job is ${state}`, async () => {
      await this.#clear(queue, jobId(job));
      await this.#tools.dispatcher.enqueuePrepare(record);
    });
  }

  async #ofStitch(record: RenderRecord, plan: RenderPlan): Promise<Finding | undefined> {
    const { queues, dispatcher } = this.#tools;
    const { status, request } = record;
    const queue = queues.media(stitchQueue(plan.frameCount));
    const job = stitchJobOf(record);
    const state = await queue.getJobState(jobId(job));
    if (GOES_ON.has(state)) return undefined;
    if (state === 'failed') return await this.#failed(job, queue);
    if (state === 'waiting-children') return await this.#ofSegments(record, plan, queue);
    // `prepare` adds it as its last step.
    const prepare = queues.media(prepareQueue(request.uploadBytes));
    if (GOES_ON.has(await prepare.getJobState(jobId(prepareJobOf(record))))) return undefined;
    return this.#finding(`${status}, and its stitch job is ${state}`, async () => {
      await this.#clear(queue, jobId(job));
      await dispatcher.enqueueSegments(
        record,
        plan,
        new Set((await segmentsDone(this.#tools.renders, record, plan)).keys()),
      );
    });
  }

  /** The first of some segments that the stitch job waits for in vain. */
  async #ofSegments(record: RenderRecord, plan: RenderPlan, queue: Queue): Promise<Finding | undefined> {
    const { renderId } = record;
    if (this.#segmentsLeft <= 0) return undefined;
    const stitchId = jobId(stitchJobOf(record));
    const cursor = this.#cursors.get(renderId) ?? 0;
    const stitch = await queue.getJob(stitchId);
    const waitsFor = await stitch?.getDependencies({ unprocessed: { cursor, count: SEGMENTS_AT_ONCE } });
    for (const key of waitsFor?.unprocessed ?? []) {
      this.#segmentsLeft--;
      const found = await this.#ofSegment(record, plan, key);
      // The next look is to find it again.
      if (found) return found;
    }
    const next = waitsFor?.nextUnprocessedCursor ?? 0;
    if (next === 0) this.#cursors.delete(renderId);
    else this.#cursors.set(renderId, next);
    return undefined;
  }

  async #ofSegment(record: RenderRecord, plan: RenderPlan, key: string): Promise<Finding | undefined> {
    const [, queueName = '', id = '', index, moved] = SEGMENT_KEY.exec(key) ?? [];
    const queue = this.#tools.queues.named(queueName);
    const state = await queue.getJobState(id);
    if (GOES_ON.has(state)) return undefined;
    if (state === 'failed') return await this.#failed({ name: 'segment', renderId: record.renderId }, queue, id);
    return this.#finding(`rendering, and its job ${id} is ${state}`, async () => {
      // In no list of its queue: what is left of it would only keep it from being added.
      if (state === 'unknown') await this.#tools.redis.del(queue.toKey(id));
      const place = { segmentIndex: Number(index), times: Number(moved ?? 0), queueName };
      await this.#tools.dispatcher.enqueueSegmentAgain(record, plan, place);
    });
  }

  /** A job that failed for good is to have failed its render; whoever was to note that died. */
  async #failed(
    job: Pick<RenderJob, 'name' | 'renderId'>,
    queue: Queue,
    id: string = jobId(job as RenderJob),
  ): Promise<Finding> {
    const reason = (await queue.getJob(id))?.failedReason ?? 'for a reason that nobody noted';
    const [, segmentQueue, segmentId] = FAILED_SEGMENT.exec(reason) ?? [];
    if (segmentQueue && segmentId) {
      const segment = { name: 'segment', renderId: job.renderId } as const;
      return await this.#failed(segment, this.#tools.queues.named(segmentQueue), segmentId);
    }
    return this.#finding(`its ${job.name} job has failed: ${reason}`, async () => {
      await this.#tools.renders.fail(job.renderId, errorOf(job.name, reason).toReport(), id);
    });
  }

  /** Removes what is left of a job that has ended, so that it can be added again. Its segments stay. */
  async #clear(queue: Queue, id: string): Promise<void> {
    await (await queue.getJob(id))?.remove({ removeChildren: false });
  }

  #finding(what: string, mend: () => Promise<void>): Finding {
    return { what, mend };
  }
}

/** The error that a job failed with, from BullMQ's note of it: "code: message" if no retry could have helped. */
function errorOf(name: string, reason: string): FarmError {
  const [, code = '', message = ''] = /^(\w+): (.*)$/s.exec(reason) ?? [];
  if (Object.hasOwn(ERROR_CATALOGUE, code)) return new FarmError(code as ErrorCode, message);
  const stalled = reason.includes('stalled');
  return new FarmError(stalled ? 'worker_lost' : 'internal', `The ${name} job failed: ${reason}`);
}
