import type { Redis } from 'ioredis';
import type { Config } from '../../shared/config/load.ts';
import { type Heartbeat, readHeartbeats, workerOf } from '../../shared/heartbeat.ts';
import { costOn, type GpuState, gpusForModel, placeWork } from '../../shared/placement.ts';

/** Heartbeats come every second, so there is nothing new to read more often than this. */
const REFRESH_AFTER_MS = 500;

/** A GPU, and the process that served it when it was chosen. */
export interface Placement {
  readonly gpuId: number;
  readonly workerId: string;
}

export interface PlacementWish {
  readonly modelId: string;
  readonly frames: number;
  /** A GPU that has just failed the request; chosen only when there is no other. */
  readonly avoid?: number | undefined;
  /** Chosen if it can render the model, before the GPU that the model's entry prefers. */
  readonly preferredGpu?: number | undefined;
}

/**
 * Chooses GPUs for live requests by the rule for segments. A GPU's backlog is what this front end has in flight there.
 */
export class LiveDispatcher {
  readonly #redis: Redis;
  readonly #config: Config;
  readonly #framesInFlight = new Map<number, number>();
  #heartbeats: Heartbeat[] = [];
  #readAtMs = -Infinity;
  #turn = 0;

  constructor(redis: Redis, config: Config) {
    this.#redis = redis;
    this.#config = config;
  }

  /** A GPU whose worker is alive and can render the model, or undefined when there is none now. */
  async pick({ modelId, frames, avoid, preferredGpu }: PlacementWish): Promise<Placement | undefined> {
    const able = gpusForModel(await this.heartbeats(), modelId);
    const others = able.filter((gpuId) => gpuId !== avoid);
    const candidates = others.length > 0 ? others : able;
    if (candidates.length === 0) return undefined;
    const wish = [preferredGpu, this.#config.models.get(modelId)?.preferredGpu].find(
      (gpuId) => gpuId !== undefined && candidates.includes(gpuId),
    );
    const worker = workerOf(this.#heartbeats, this.#choose(modelId, frames, candidates, wish));
    return worker && { gpuId: worker.gpuId as number, workerId: worker.workerId };
  }

  /** The GPUs that can render a model, the one that a stream of it should go to first. */
  async rank(modelId: string): Promise<number[]> {
    const left = gpusForModel(await this.heartbeats(), modelId);
    const preferred = this.#config.models.get(modelId)?.preferredGpu;
    const ranked: number[] = [];
    while (left.length > 0) {
      const next = this.#choose(modelId, 1, left, preferred);
      ranked.push(next);
      left.splice(left.indexOf(next), 1);
    }
    return ranked;
  }

  /** False once the GPU is served by another process, or by none. */
  async isCurrent({ gpuId, workerId }: Placement): Promise<boolean> {
    return workerOf(await this.heartbeats(), gpuId)?.workerId === workerId;
  }

  /** False once the process that serves the GPU takes no new jobs, so that waiting requests must go to another GPU. */
  async takesWork(placement: Placement): Promise<boolean> {
    if (!(await this.isCurrent(placement))) return false;
    return workerOf(this.#heartbeats, placement.gpuId)?.draining === false;
  }

  /** Counts frames against a GPU until the returned function is called. */
  occupy(gpuId: number, frames: number): () => void {
    const add = (by: number) => this.#framesInFlight.set(gpuId, (this.#framesInFlight.get(gpuId) ?? 0) + by);
    add(frames);
    return () => add(-frames);
  }

  /** The workers' heartbeats, read at most half a second ago. */
  async heartbeats(): Promise<Heartbeat[]> {
    if (performance.now() - this.#readAtMs < REFRESH_AFTER_MS) return this.#heartbeats;
    this.#heartbeats = await readHeartbeats(this.#redis);
    this.#readAtMs = performance.now();
    return this.#heartbeats;
  }

  #choose(modelId: string, frames: number, candidates: readonly number[], preferredGpu: number | undefined): number {
    const states = candidates.map((gpuId): GpuState => {
      const cost = costOn(this.#heartbeats, gpuId, modelId);
      return { ...cost, backlogMs: (this.#framesInFlight.get(gpuId) ?? 0) * cost.frameMs };
    });
    const policy = { strategy: this.#config.gpus.assignment_strategy, preferredGpu, spread: true };
    const [gpuId] = placeWork([frames], states, policy, this.#turn++ % states.length);
    return gpuId as number;
  }
}
