import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Config } from '../shared/config/load.ts';
import { readHeartbeats } from '../shared/heartbeat.ts';
import { costOn, type GpuState, gpusForModel, placeWork } from '../shared/placement.ts';
import { backlogOf, gpuQueue, openQueue } from '../shared/queues.ts';
import { KEY_PREFIX } from '../shared/redis.ts';

const TURN_KEY = `${KEY_PREFIX}:turn`;

/** Decides which GPU gets which segment, from what the workers say of themselves and what waits on their queues. */
export class SegmentPlacement {
  readonly #redis: Redis;
  readonly #config: Config;
  readonly #queues = new Map<number, Queue>();

  constructor(redis: Redis, config: Config) {
    this.#redis = redis;
    this.#config = config;
  }

  /**
   * A GPU number for each segment; none when no worker can render the model now.
   * @param frameCounts frames of each segment.
   * @param avoid GPUs that are out of the question.
   */
  async place(modelId: string, frameCounts: readonly number[], avoid: readonly number[] = []): Promise<number[]> {
    const heartbeats = await readHeartbeats(this.#redis);
    const able = gpusForModel(heartbeats, modelId).filter((gpuId) => !avoid.includes(gpuId));
    if (able.length === 0) return [];
    const candidates = await Promise.all(able.map((gpuId) => this.#stateOf(costOn(heartbeats, gpuId, modelId))));
    const turn = await this.#redis.incr(TURN_KEY);
    const policy = {
      strategy: this.#config.gpus.assignment_strategy,
      preferredGpu: this.#config.models.get(modelId)?.preferredGpu,
      spread: this.#config.gpus.allow_multi_gpu_models,
    };
    return placeWork(frameCounts, candidates, policy, turn % candidates.length);
  }

  /** The queue of a GPU; open until this is closed. */
  queue(gpuId: number): Queue {
    const known = this.#queues.get(gpuId) ?? openQueue(gpuQueue(gpuId), this.#redis);
    this.#queues.set(gpuId, known);
    return known;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  /** What waits is counted as whole segments of the model in question: others differ, but not by much. */
  async #stateOf(cost: Omit<GpuState, 'backlogMs'>): Promise<GpuState> {
    const jobs = await backlogOf(this.queue(cost.gpuId));
    return { ...cost, backlogMs: jobs * this.#config.render.segment_frames * cost.frameMs };
  }
}
