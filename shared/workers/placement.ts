import { type FrameRate, frameMs } from '../sound/frame-rate.ts';
import { type Heartbeat, type ModelCost, workerOf } from './heartbeat.ts';

/** Chooses GPUs for work. Pure: the callers read the farm's state and pass it in. */

export interface GpuState {
  readonly gpuId: number;
  /** Work that waits and runs there, in ms. */
  readonly backlogMs: number;
  /** Time to load the model there; 0 where it is in memory. */
  readonly loadMs: number;
  /** Time for one frame of the model there. */
  readonly frameMs: number;
}

export interface PlacementPolicy {
  readonly strategy: 'round-robin' | 'least-loaded';
  /** The GPU the model's entry asks for. */
  readonly preferredGpu: number | undefined;
  /** False keeps all pieces on one GPU. */
  readonly spread: boolean;
}

type Load = { -readonly [K in keyof GpuState]: GpuState[K] };

/**
 * One GPU number for each piece of work, given as numbers of frames. `candidates` are the GPUs that can render the
 * model; `firstTurn` shifts the round so that short pieces of work do not all begin on the same GPU.
 *
 * The preferred GPU gets everything. Otherwise `least-loaded` takes the GPU that finishes a piece first, loading
 * included; `round-robin` takes the GPUs one after the other, but leaves out those that would have to load the model
 * while a GPU that has it can begin the piece before that load would be over.
 */
export function placeWork(
  pieces: readonly number[],
  candidates: readonly GpuState[],
  policy: PlacementPolicy,
  firstTurn: number,
): number[] {
  if (candidates.length === 0) throw new RangeError('No GPU to place work on');
  const preferred = candidates.find(({ gpuId }) => gpuId === policy.preferredGpu);
  if (preferred) return pieces.map(() => preferred.gpuId);
  const loads: Load[] = candidates.map((_, index) => ({
    ...(candidates[(index + firstTurn) % candidates.length] as GpuState),
  }));
  const place = (frames: number, turn: number) => {
    const load = policy.strategy === 'round-robin' ? nextInTurn(loads, turn) : firstToFinish(loads, frames);
    load.backlogMs = finishMs(load, frames);
    load.loadMs = 0;
    return load.gpuId;
  };
  if (policy.spread) return pieces.map(place);
  const gpuId = place(
    pieces.reduce((sum, frames) => sum + frames, 0),
    0,
  );
  return pieces.map(() => gpuId);
}

function finishMs({ backlogMs, loadMs, frameMs }: GpuState, frames: number): number {
  return backlogMs + loadMs + frames * frameMs;
}

function firstToFinish(loads: readonly Load[], frames: number): Load {
  return loads.reduce((first, load) => (finishMs(load, frames) < finishMs(first, frames) ? load : first));
}

function nextInTurn(loads: readonly Load[], turn: number): Load {
  const shortest = loads.reduce((ms, load) => (load.loadMs === 0 ? Math.min(ms, load.backlogMs) : ms), Infinity);
  const round = loads.filter((load) => load.loadMs === 0 || load.backlogMs + load.loadMs <= shortest);
  return round[turn % round.length] as Load;
}

/** A queue that work may be taken from. */
export interface BusyQueue {
  readonly waiting: number;
  readonly active: number;
  /** One frame on the queue's own GPU. */
  readonly frameMs: number;
}

/**
 * True when an idle GPU would finish one piece, loading the model first if it must, before the queue's own GPU has
 * finished its backlog. False for a queue without running jobs: its own GPU is about to take one.
 * @param frames of a piece.
 */
export function isWorthStealing(
  idle: Pick<GpuState, 'loadMs' | 'frameMs'>,
  { waiting, active, frameMs }: BusyQueue,
  frames: number,
): boolean {
  if (waiting === 0 || active === 0) return false;
  return idle.loadMs + frames * idle.frameMs < (waiting + active) * frames * frameMs;
}

/**
 * GPUs whose worker takes work, has the model in its configuration without problems, and whose host has the tags that
 * the model needs. When all of them have blocked
 * the model, all are returned: another try is better than giving up.
 */
export function gpusForModel(heartbeats: readonly Heartbeat[], modelId: string): readonly number[] {
  return summaryOf(heartbeats, modelId).gpus;
}

/** The GPUs among these that have the model's files and have not blocked it. */
export function willingGpus(heartbeats: readonly Heartbeat[], modelId: string): number[] {
  return gpusOf(heartbeats.filter((heartbeat) => isWilling(heartbeat, modelId)));
}

/** Whether a worker takes work for a model that others could do too: it has its files, and has not blocked it. */
export function isWilling(heartbeat: Heartbeat, modelId: string): boolean {
  const state = stateOf(heartbeat, modelId);
  return mayTry(heartbeat, modelId) && state?.blocked === null && state.fetching === undefined;
}

function mayTry(heartbeat: Heartbeat, modelId: string): boolean {
  return !heartbeat.draining && canRender(heartbeat, modelId);
}

function canRender(heartbeat: Heartbeat, modelId: string): boolean {
  const state = stateOf(heartbeat, modelId);
  return state?.problems.length === 0 && !state.lacks?.length;
}

function gpusOf(heartbeats: readonly Heartbeat[]): number[] {
  return [...new Set(heartbeats.flatMap(({ gpuId }) => gpuId ?? []))];
}

/** The assumed cost of a model that no GPU of the farm has loaded yet. */
const UNMEASURED = { loadMs: 2000, frameMs: 20 };

/**
 * The cost of a model on a GPU: as measured there, else as on the slowest other GPU, else the assumed cost.
 * `loadMs` is 0 where the model is in memory.
 */
export function costOn(heartbeats: readonly Heartbeat[], gpuId: number, modelId: string): Omit<GpuState, 'backlogMs'> {
  const loaded = stateOf(workerOf(heartbeats, gpuId), modelId)?.loaded != null;
  const { loadMs, frameMs } = measuredCost(heartbeats, gpuId, modelId) ?? UNMEASURED;
  return { gpuId, loadMs: loaded ? 0 : loadMs, frameMs };
}

/** The part of a GPU that live work has while renders wait as well: they have every tenth turn (worker/engine/turns.ts). */
const LIVE_SHARE = 0.9;

/** What a stream costs depends on. */
export interface StreamKind {
  readonly modelId: string;
  /** Frames a second; absent: 25. */
  readonly frameRate?: FrameRate | undefined;
}

/**
 * Streams of a model that a GPU can render as quickly as they are shown, beside the share that renders have. A GPU that
 * is slower than real time, or was not measured yet, still takes one.
 * @param fixed as configured, whatever was measured; 0: as measured.
 */
export function streamsOn(
  heartbeats: readonly Heartbeat[],
  gpuId: number,
  { modelId, frameRate }: StreamKind,
  fixed: number,
): number {
  if (fixed > 0) return fixed;
  const cost = measuredCost(heartbeats, gpuId, modelId);
  return cost ? Math.max(1, Math.floor((LIVE_SHARE * frameMs(frameRate)) / cost.frameMs)) : 1;
}

/** As measured there, else as on the slowest other GPU; undefined where no GPU of the farm has had the model in memory. */
export function measuredCost(heartbeats: readonly Heartbeat[], gpuId: number, modelId: string): ModelCost | undefined {
  return stateOf(workerOf(heartbeats, gpuId), modelId)?.cost ?? summaryOf(heartbeats, modelId).slowest;
}

/** What the workers say of one model together. */
interface ModelSummary {
  /** Those that work for it is given to. */
  readonly gpus: readonly number[];
  /** Its cost on the slowest GPU. */
  readonly slowest: ModelCost | undefined;
}

/** By model. Found once for each list of heartbeats, since thousands of requests are placed by the same list. */
const summaries = new WeakMap<readonly Heartbeat[], Map<string, ModelSummary>>();

function summaryOf(heartbeats: readonly Heartbeat[], modelId: string): ModelSummary {
  const ofList = summaries.get(heartbeats) ?? new Map<string, ModelSummary>();
  summaries.set(heartbeats, ofList);
  const known = ofList.get(modelId);
  if (known) return known;
  const willing = willingGpus(heartbeats, modelId);
  const gpus = willing.length > 0 ? willing : gpusOf(heartbeats.filter((heartbeat) => mayTry(heartbeat, modelId)));
  const costs = heartbeats.flatMap((heartbeat) => stateOf(heartbeat, modelId)?.cost ?? []);
  const slowest = costs.sort((a, b) => b.frameMs - a.frameMs)[0];
  ofList.set(modelId, { gpus, slowest });
  return { gpus, slowest };
}

function stateOf(heartbeat: Heartbeat | undefined, modelId: string) {
  return heartbeat?.models.find((model) => model.modelId === modelId);
}
