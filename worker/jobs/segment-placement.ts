import type { Redis } from 'ioredis';
import type { Config } from '../../shared/config/load.ts';
import { backlogIn, countJobs, type QueueCounts } from '../../shared/jobs/queue-counts.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { type Heartbeat, readHeartbeats } from '../../shared/workers/heartbeat.ts';
import { costOn, type GpuState, gpusForModel, placeWork, willingGpus } from '../../shared/workers/placement.ts';

const TURN_KEY = `${KEY_PREFIX}:turn`;

/** Decides which GPU gets which segment, from the workers' heartbeats and the lengths of their queues. */
export class SegmentPlacement {
  readonly #redis: Redis;
  readonly #config: Config;

  constructor(redis: Redis, config: Config) {
    this.#redis = redis;
    this.#config = config;
  }

  /**
   * A GPU number for each segment; none when no worker can render the model now.
   * @param frameCounts frames of each segment.
   */
  async place(modelId: string, frameCounts: readonly number[]): Promise<number[]> {
    const heartbeats = await readHeartbeats(this.#redis);
    return await this.#placeOn(gpusForModel(heartbeats, modelId), modelId, frameCounts, heartbeats);
  }

  /** A GPU that may do better with a segment than those that have failed at it; undefined when there is none. */
  async placeElsewhere(modelId: string, frames: number, failedOn: readonly number[]): Promise<number | undefined> {
    const heartbeats = await readHeartbeats(this.#redis);
    const others = willingGpus(heartbeats, modelId).filter((gpuId) => !failedOn.includes(gpuId));
    return (await this.#placeOn(others, modelId, [frames], heartbeats))[0];
  }

  async #placeOn(
    able: readonly number[],
    modelId: string,
    frameCounts: readonly number[],
    heartbeats: readonly Heartbeat[],
  ): Promise<number[]> {
    if (able.length === 0) return [];
    const counts = await countJobs(this.#redis, able);
    const candidates = able.map((gpuId, index) =>
      this.#stateOf(costOn(heartbeats, gpuId, modelId), counts[index] as QueueCounts),
    );
    const turn = await this.#redis.incr(TURN_KEY);
    const policy = {
      strategy: this.#config.gpus.assignment_strategy,
      preferredGpu: this.#config.models.get(modelId)?.preferredGpu,
      spread: this.#config.gpus.allow_multi_gpu_models,
    };
    return placeWork(frameCounts, candidates, policy, turn % candidates.length);
  }

  /** Waiting segments are counted as whole segments of the model in question: those of others differ little. */
  #stateOf(cost: Omit<GpuState, 'backlogMs'>, counts: QueueCounts): GpuState {
    const jobs = backlogIn(counts);
    return { ...cost, backlogMs: jobs * this.#config.render.segment_frames * cost.frameMs };
  }
}
