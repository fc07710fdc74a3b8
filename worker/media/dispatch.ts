import { FlowProducer, type Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Config } from '../../shared/config/load.ts';
import { readHeartbeats } from '../../shared/heartbeat.ts';
import type { Job, SegmentJob } from '../../shared/jobs.ts';
import { type GpuState, gpusForModel, placeSegments } from '../../shared/placement.ts';
import { backlogOf, enrolGpus, gpuQueue, jobId, jobOptions, MEDIA_QUEUE, openQueue } from '../../shared/queues.ts';
import { KEY_PREFIX } from '../../shared/redis.ts';
import type { RenderPlan } from '../../shared/renders/record.ts';
import { cutSegments } from './plan.ts';

const TURN_KEY = `${KEY_PREFIX}:turn`;

/** Decides which GPU gets which segment, and puts jobs on their queues. */
export class Dispatcher {
  readonly #redis: Redis;
  readonly #config: Config;
  readonly #flows: FlowProducer;
  readonly #queues = new Map<string, Queue>();

  constructor(redis: Redis, config: Config) {
    this.#redis = redis;
    this.#config = config;
    this.#flows = new FlowProducer({ connection: redis, prefix: KEY_PREFIX });
  }

  /** GPU number of each of a render's segments. */
  async place(modelId: string, segmentCount: number): Promise<number[]> {
    const able = gpusForModel(await readHeartbeats(this.#redis), modelId);
    // With no worker alive the segments wait on the queues that the configuration promises.
    const promised = Array.from({ length: this.#config.gpus.count }, (_, gpuId) => gpuId);
    const candidates = await Promise.all((able.length > 0 ? able : promised).map((gpuId) => this.#stateOf(gpuId)));
    const turn = await this.#redis.incr(TURN_KEY);
    const policy = {
      strategy: this.#config.gpus.assignment_strategy,
      preferredGpu: this.#config.models.get(modelId)?.preferredGpu,
      spread: this.#config.gpus.allow_multi_gpu_models,
    };
    return placeSegments(segmentCount, candidates, policy, turn % candidates.length);
  }

  /** Puts a planned render on the queues, all of it or nothing. Doing it again changes nothing. */
  async enqueueSegments(renderId: string, modelId: string, plan: RenderPlan): Promise<void> {
    const stitch: Job = { name: 'stitch', renderId };
    if (await this.#queue(MEDIA_QUEUE).getJob(jobId(stitch))) return;
    const { attempts } = this.#config.render;
    const ranges = cutSegments(plan.frameCount, plan.segmentFrames);
    const children = ranges.map((frames, segmentIndex) => {
      const job: SegmentJob = { name: 'segment', renderId, modelId, segmentIndex, segmentCount: ranges.length, frames };
      return {
        name: job.name,
        queueName: gpuQueue(plan.segmentGpus[segmentIndex] ?? 0),
        data: job,
        opts: { ...jobOptions(job, attempts), failParentOnFailure: true },
      };
    });
    await enrolGpus(this.#redis, plan.segmentGpus);
    await this.#flows.add({
      name: stitch.name,
      queueName: MEDIA_QUEUE,
      data: stitch,
      opts: jobOptions(stitch, attempts),
      children,
    });
  }

  /** Puts a render at its beginning; a job that is there already stays as it is. */
  async enqueuePrepare(renderId: string): Promise<void> {
    const job: Job = { name: 'prepare', renderId };
    await this.#queue(MEDIA_QUEUE).add(job.name, job, jobOptions(job, this.#config.render.attempts));
  }

  async close(): Promise<void> {
    await this.#flows.close();
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  async #stateOf(gpuId: number): Promise<GpuState> {
    return { gpuId, backlog: await backlogOf(this.#queue(gpuQueue(gpuId))) };
  }

  #queue(name: string): Queue {
    const known = this.#queues.get(name) ?? openQueue(name, this.#redis);
    this.#queues.set(name, known);
    return known;
  }
}
