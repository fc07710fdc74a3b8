import type { FlowProducer } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Config } from '../../shared/config/load.ts';
import { ofRender, type SegmentJob, stitchJobOf } from '../../shared/jobs/jobs.ts';
import {
  addPrepareJob,
  enrolGpus,
  firstPriority,
  gpuQueue,
  jobId,
  jobOptions,
  openFlows,
  type QueueClients,
  stitchQueue,
} from '../../shared/jobs/queues.ts';
import { RenderReader } from '../../shared/renders/reader.ts';
import type { RenderPlan, RenderRecord } from '../../shared/renders/record.ts';
import { fairTurns, fairTurnsOfOwner } from '../jobs/fair-order.ts';
import { SegmentPlacement } from '../jobs/segment-placement.ts';
import type { IndexRange } from '../pipeline/contract.ts';
import { cutSegments } from './plan.ts';

/** Decides which GPU gets which segment, and puts jobs on their queues. */
export class Dispatcher {
  readonly #redis: Redis;
  readonly #config: Config;
  readonly #flows: FlowProducer;
  readonly #placement: SegmentPlacement;
  readonly #queues: QueueClients;

  constructor(redis: Redis, queues: QueueClients, config: Config) {
    this.#redis = redis;
    this.#config = config;
    this.#flows = openFlows(redis);
    this.#queues = queues;
    this.#placement = new SegmentPlacement(redis, config);
  }

  /** GPU number of each of a render's segments. */
  async place(modelId: string, segments: readonly IndexRange[]): Promise<number[]> {
    const placed = await this.#placement.place(
      modelId,
      segments.map(({ start, end }) => end - start),
    );
    // While no worker can render it, the segments wait on the queues of the configured GPUs.
    return placed.length > 0 ? placed : segments.map((_, index) => index % this.#config.gpus.count);
  }

  /**
   * Puts a planned render on the queues, all of it or nothing. Doing it again changes nothing.
   * @param done indexes of segments that need no job.
   */
  async enqueueSegments(record: RenderRecord, plan: RenderPlan, done: ReadonlySet<number> = new Set()): Promise<void> {
    const stitch = stitchJobOf(record);
    const queueName = stitchQueue(plan.frameCount);
    if (await this.#queues.media(queueName).getJob(jobId(stitch))) return;
    const { attempts } = this.#config.render;
    const ranges = cutSegments(plan);
    const missing = [...ranges.keys()].filter((index) => !done.has(index));
    const priorities = await this.#priorities(plan, ranges, missing, record);
    const children = missing.map((segmentIndex) => {
      const job = segmentJob(record, ranges, segmentIndex);
      return {
        name: job.name,
        queueName: gpuQueue(plan.segmentGpus[segmentIndex] ?? 0),
        data: job,
        opts: { ...jobOptions(job, attempts, priorities[segmentIndex]), failParentOnFailure: true },
      };
    });
    const gpuIds = missing.flatMap((index) => plan.segmentGpus[index] ?? []);
    await enrolGpus(this.#redis, gpuIds);
    await this.#flows.add({
      name: stitch.name,
      queueName,
      data: stitch,
      opts: jobOptions(stitch, attempts, firstPriority(stitch.name, record.request.priority)),
      children,
    });
  }

  /** Puts one segment back on its queue whose job was lost, while the stitch job waits for it. */
  async enqueueSegmentAgain(
    record: RenderRecord,
    plan: RenderPlan,
    { segmentIndex, times, queueName }: { segmentIndex: number; times: number; queueName: string },
  ): Promise<void> {
    const ranges = cutSegments(plan);
    const moved = times > 0 ? { moved: { times, attempts: 0, failedOn: [] } } : {};
    const job = { ...segmentJob(record, ranges, segmentIndex), ...moved };
    const stitch = jobId(stitchJobOf(record));
    await this.#queues.named(queueName).add(job.name, job, {
      ...jobOptions(job, this.#config.render.attempts),
      ...{
        failParentOnFailure: true,
        parent: { id: stitch, queue: this.#queues.media(stitchQueue(plan.frameCount)).qualifiedName },
      },
    });
  }

  /** Puts a render's first job on the queue; a job that is there already stays as it is. */
  async enqueuePrepare(record: RenderRecord): Promise<void> {
    await addPrepareJob(this.#queues, record, this.#config.render.attempts);
  }

  /** The priorities that give each segment that is missing its turn among the other renders of its queue. */
  async #priorities(
    plan: RenderPlan,
    ranges: readonly IndexRange[],
    missing: readonly number[],
    record: RenderRecord,
  ): Promise<number[]> {
    const { owner, request } = record;
    const { priority } = request;
    const priorities: number[] = [];
    const renders = owner === undefined ? 1 : await new RenderReader(this.#redis).countActive(owner);
    for (const [gpuId = 0, own] of Map.groupBy(missing, (index) => plan.segmentGpus[index])) {
      const frameCounts = own.map((index) => framesIn(ranges[index]));
      const queue = this.#queues.gpu(gpuId);
      const firstJobId = jobId(segmentJob(record, ranges, own[0] ?? 0));
      const turns =
        owner === undefined
          ? await fairTurns(queue, frameCounts, priority)
          : await fairTurnsOfOwner(this.#redis, queue, frameCounts, { owner, renders, priority, firstJobId });
      own.forEach((index, place) => {
        priorities[index] = turns[place] as number;
      });
    }
    return priorities;
  }

  async close(): Promise<void> {
    await this.#flows.close();
  }
}

function framesIn(range: IndexRange | undefined): number {
  return range ? range.end - range.start : 0;
}

function segmentJob(record: RenderRecord, ranges: readonly IndexRange[], segmentIndex: number): SegmentJob {
  const { owner, request } = record;
  const frames = ranges[segmentIndex];
  if (!frames) throw new RangeError(`Render ${record.renderId} has no segment ${segmentIndex}`);
  return {
    ...{ name: 'segment', ...ofRender(record), ...(owner === undefined ? {} : { owner }), modelId: request.modelId },
    ...(request.priority === undefined ? {} : { priority: request.priority }),
    ...{ segmentIndex, segmentCount: ranges.length, frames },
  };
}
