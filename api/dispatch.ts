import type { Redis } from 'ioredis';
import type { Config } from '../shared/config/load.ts';
import { type Heartbeat, readHeartbeats } from '../shared/heartbeat.ts';
import { gpusForModel } from '../shared/placement.ts';

/** Heartbeats come every two seconds; asking more often than this tells nothing new. */
const REFRESH_AFTER_MS = 500;

/** A GPU, and the process that served it when it was chosen. */
export interface Placement {
  readonly gpuId: number;
  readonly workerId: string;
}

/** Chooses the GPU of a live request: one that has the model, else the one with the fewest live requests from here. */
export class LiveDispatcher {
  readonly #redis: Redis;
  readonly #config: Config;
  readonly #inFlight = new Map<number, number>();
  #heartbeats: Heartbeat[] = [];
  #readAtMs = 0;
  #turn = 0;

  constructor(redis: Redis, config: Config) {
    this.#redis = redis;
    this.#config = config;
  }

  /**
   * A GPU with a living worker that can render the model, or undefined when there is none now.
   * @param avoid a GPU that has just let a request down; taken only when there is no other.
   * @param preferred taken if it can render the model, before what the model's entry prefers.
   */
  async pick(modelId: string, avoid: number | undefined, preferred?: number): Promise<Placement | undefined> {
    const able = gpusForModel(await this.#current(), modelId);
    const gpuId = this.#choose(modelId, able, avoid, preferred);
    const worker = gpuId === undefined ? undefined : this.#workerOf(gpuId);
    return worker && { gpuId: worker.gpuId as number, workerId: worker.workerId };
  }

  #choose(modelId: string, able: number[], avoid: number | undefined, preferred?: number): number | undefined {
    const others = able.filter((gpuId) => gpuId !== avoid);
    const candidates = others.length > 0 ? others : able;
    for (const wish of [preferred, this.#config.models.get(modelId)?.preferredGpu]) {
      if (wish !== undefined && candidates.includes(wish)) return wish;
    }
    const turn = this.#turn++;
    const rotated = candidates.map((_, index) => candidates[(index + turn) % candidates.length] as number);
    return rotated.sort((a, b) => this.#cost(a, modelId) - this.#cost(b, modelId))[0];
  }

  /** False once the GPU is served by another process, or by none. */
  async isCurrent({ gpuId, workerId }: Placement): Promise<boolean> {
    await this.#current();
    return this.#workerOf(gpuId)?.workerId === workerId;
  }

  /** Counts a request against a GPU until the returned function is called. */
  occupy(gpuId: number): () => void {
    const add = (by: number) => this.#inFlight.set(gpuId, (this.#inFlight.get(gpuId) ?? 0) + by);
    add(1);
    return () => add(-1);
  }

  /** Requests in flight, plus one where the model would have to be loaded first. */
  #cost(gpuId: number, modelId: string): number {
    const worker = this.#workerOf(gpuId);
    const loaded = worker?.models.some((model) => model.modelId === modelId && model.loaded !== null) ?? false;
    return (this.#inFlight.get(gpuId) ?? 0) + (loaded ? 0 : 1);
  }

  /** The newest process of a GPU: the last heartbeat of a dead one outlives it by seconds. */
  #workerOf(gpuId: number): Heartbeat | undefined {
    const own = this.#heartbeats.filter((heartbeat) => heartbeat.gpuId === gpuId);
    return own.sort((a, b) => b.startedAtMs - a.startedAtMs)[0];
  }

  async #current(): Promise<Heartbeat[]> {
    if (Date.now() - this.#readAtMs < REFRESH_AFTER_MS) return this.#heartbeats;
    this.#heartbeats = await readHeartbeats(this.#redis);
    this.#readAtMs = Date.now();
    return this.#heartbeats;
  }
}
