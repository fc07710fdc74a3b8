import type { Config } from '../../shared/config/load.ts';
import { gpuQueue, LIVE_CHANNEL, liveChannelOf } from '../../shared/jobs/queues.ts';
import type { VisualForm } from '../../shared/live/visual-frames.ts';
import { type Heartbeat, takesVisualForm, workerOf } from '../../shared/workers/heartbeat.ts';
import { whyNoGpu } from '../../shared/workers/no-worker.ts';
import { costOn, type GpuState, gpusForModel, placeWork } from '../../shared/workers/placement.ts';
import type { RecentWorkers } from '../recent-workers.ts';
import { KnownWorkers } from './known-workers.ts';

/** A GPU, and the process that served it when it was chosen. */
export interface Placement {
  readonly gpuId: number;
  readonly workerId: string;
  readonly host: string;
  /** As its heartbeat says. */
  readonly frameChannel?: number | undefined;
}

export interface PlacementWish {
  readonly modelId: string;
  readonly frames: number;
  /** A GPU that has just failed the request; chosen only when there is no other. */
  readonly avoid?: number | undefined;
  /** Chosen if it can render the model, before the GPU that the model's entry prefers. */
  readonly preferredGpu?: number | undefined;
  /** All others are left out. */
  readonly onlyGpu?: number | undefined;
  /** Of the request's visual inputs: workers that do not take it are left out. Floats are taken by all. */
  readonly visualForm?: VisualForm | undefined;
  /** Workers that do not give mouths in place of frames are left out. */
  readonly mouths?: boolean | undefined;
}

/**
 * Chooses GPUs for live requests by the rule for segments. A GPU's backlog is what this front end has in flight there.
 */
export class LiveDispatcher {
  readonly #workers: KnownWorkers;
  readonly #config: Config;
  readonly #framesInFlight = new Map<number, number>();
  #turn = 0;

  constructor(workers: RecentWorkers, config: Config) {
    this.#workers = new KnownWorkers(workers);
    this.#config = config;
  }

  /**
   * A GPU whose worker is alive and can render the model, or undefined when there is none now. Before there is none, or
   * none but the one to avoid, the workers are asked anew.
   */
  async pick(wish: PlacementWish): Promise<Placement | undefined> {
    const place = this.#pickFrom(await this.#workers.lately(), wish);
    if (place && place.gpuId !== wish.avoid) return place;
    return this.#pickFrom(await this.#workers.now(), wish);
  }

  #pickFrom(heartbeats: readonly Heartbeat[], wish: PlacementWish): Placement | undefined {
    const { modelId, frames, avoid } = wish;
    const able = ableGpus(heartbeats, wish);
    const others = avoid === undefined ? able : able.filter((gpuId) => gpuId !== avoid);
    const candidates = others.length > 0 ? others : able;
    if (candidates.length === 0) return undefined;
    const preferredGpu = [wish.preferredGpu, this.#config.models.get(modelId)?.preferredGpu].find(
      (gpuId) => gpuId !== undefined && candidates.includes(gpuId),
    );
    // Each piece of a stream prefers a GPU: what the others are at is not asked for it.
    const chosen = preferredGpu ?? this.#choose({ modelId, frames }, candidates, heartbeats);
    const worker = workerOf(heartbeats, chosen);
    if (!worker) return undefined;
    const { workerId, host, frameChannel } = worker;
    return { gpuId: worker.gpuId as number, workerId, host, frameChannel };
  }

  /** The GPUs that can render a model. @param asOf 'now' asks their workers anew, before a request is refused. */
  async able(modelId: string, asOf: 'now' | 'lately'): Promise<readonly number[]> {
    return gpusForModel(await this.#workers[asOf](), modelId);
  }

  /** Why no GPU takes such requests now, as a sentence; undefined when one does. */
  async whyNone({ modelId, onlyGpu }: Pick<PlacementWish, 'modelId' | 'onlyGpu'>): Promise<string | undefined> {
    const all = await this.#workers.read();
    const needs = this.#config.models.get(modelId)?.needs ?? [];
    if (onlyGpu === undefined) return whyNoGpu(all, modelId, needs);
    const asked = all.filter(({ gpuId }) => gpuId === onlyGpu);
    if (asked.length === 0) return `GPU ${onlyGpu} has no worker any more`;
    const why = whyNoGpu(asked, modelId, needs) ?? `it takes no work for "${modelId}"`;
    return `Only GPU ${onlyGpu} is asked: ${why}`;
  }

  /** Of these GPUs, up to `most`, the one that a stream of the model should go to first. */
  async rank(modelId: string, gpuIds: readonly number[], most: number): Promise<number[]> {
    const heartbeats = await this.#workers.lately();
    const left = [...gpuIds];
    const preferredGpu = this.#config.models.get(modelId)?.preferredGpu;
    const ranked: number[] = [];
    while (left.length > 0 && ranked.length < most) {
      const next = this.#choose({ modelId, frames: 1, preferredGpu }, left, heartbeats);
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
    const worker = workerOf(await this.heartbeats(), placement.gpuId);
    return worker?.workerId === placement.workerId && !worker.draining;
  }

  /** Where the worker of a GPU hears that its queue has got a live job. */
  async wakeUpChannel(gpuId: number): Promise<string> {
    const worker = workerOf(await this.heartbeats(), gpuId);
    return worker?.ownLiveChannels ? liveChannelOf(gpuQueue(gpuId)) : LIVE_CHANNEL;
  }

  /** Counts frames against a GPU until the returned function is called. */
  occupy(gpuId: number, frames: number): () => void {
    const add = (by: number) => this.#framesInFlight.set(gpuId, (this.#framesInFlight.get(gpuId) ?? 0) + by);
    add(frames);
    return () => add(-frames);
  }

  /** The workers' heartbeats, read at most half a second ago. @param asOf 'now' reads them anew. */
  async heartbeats(asOf: 'now' | 'read' = 'read'): Promise<readonly Heartbeat[]> {
    return await this.#workers[asOf]();
  }

  #choose(
    { modelId, frames, preferredGpu }: PlacementWish,
    candidates: readonly number[],
    heartbeats: readonly Heartbeat[],
  ): number {
    const states = candidates.map((gpuId): GpuState => {
      const cost = costOn(heartbeats, gpuId, modelId);
      return { ...cost, backlogMs: (this.#framesInFlight.get(gpuId) ?? 0) * cost.frameMs };
    });
    const policy = { strategy: this.#config.gpus.assignment_strategy, preferredGpu, spread: true };
    const [gpuId] = placeWork([frames], states, policy, this.#turn++ % states.length);
    return gpuId as number;
  }
}

/** The GPUs whose workers take such a request. */
function ableGpus(
  heartbeats: readonly Heartbeat[],
  { modelId, onlyGpu, visualForm = 'floats', mouths = false }: PlacementWish,
): readonly number[] {
  const gpuIds = gpusForModel(heartbeats, modelId).filter((gpuId) => gpuId === (onlyGpu ?? gpuId));
  if (visualForm === 'floats' && !mouths) return gpuIds;
  return gpuIds.filter((gpuId) => {
    const worker = workerOf(heartbeats, gpuId);
    return takesVisualForm(worker, visualForm) && (worker?.givesMouths || !mouths);
  });
}
