import type { Config } from '../shared/config/load.ts';
import { frameRateOf, hearingOfModel } from '../shared/config/model-hearing.ts';
import { ignored } from '../shared/process/unheard.ts';
import type { Hearing } from '../shared/sound/hearing.ts';
import { algorithmicLatencyMs, LOW_LATENCY_ROWS_AHEAD } from '../shared/sound/row-reach.ts';
import { MB } from '../shared/units.ts';
import type { ModelList, ModelView } from '../shared/views/models-view.ts';
import { currentWorkers, type Heartbeat } from '../shared/workers/heartbeat.ts';

/** What the farm says of models, from its configuration and from what the GPU workers say of themselves. */

/** How much a model has been used, on all workers together since they started. */
export interface ModelTotals {
  readonly requestCount: number;
  readonly totalInferenceMs: number;
  /** In ms since 1970; null when it was never used. */
  readonly lastUsedAtMs: number | null;
}

/** All configured models, in the order of the configuration. */
export async function viewModels(config: Config, heartbeats: readonly Heartbeat[]): Promise<ModelList> {
  const models = [...config.models].map(async ([modelId, model]) => ({
    ...viewModel(config, heartbeats, modelId),
    fps: await frameRateOf(model),
    hears: await hearingOfModel(model).then(viewHearing, ignored('its problems say so', null)),
  }));
  return { models: await Promise.all(models) };
}

/** The workers that have the model in memory, by their GPU numbers. */
export function holdersOf(heartbeats: readonly Heartbeat[], modelId: string) {
  return currentWorkers(heartbeats).flatMap(({ workerId, gpuId, models }) => {
    const loaded = models.find((model) => model.modelId === modelId)?.loaded;
    return loaded && gpuId !== null ? [{ workerId, gpuId, ...loaded }] : [];
  });
}

export function totalsOf(heartbeats: readonly Heartbeat[], modelId: string): ModelTotals {
  const usages = statesOf(heartbeats, modelId).map(({ usage }) => usage);
  const lastUses = usages.flatMap(({ lastUsedAtMs }) => lastUsedAtMs ?? []);
  return {
    requestCount: usages.reduce((sum, usage) => sum + usage.requestCount, 0),
    totalInferenceMs: usages.reduce((sum, usage) => sum + usage.totalInferenceMs, 0),
    lastUsedAtMs: lastUses.length > 0 ? Math.max(...lastUses) : null,
  };
}

function viewModel(
  config: Config,
  heartbeats: readonly Heartbeat[],
  modelId: string,
): Omit<ModelView, 'hears' | 'fps'> {
  const model = config.models.get(modelId);
  const found = statesOf(heartbeats, modelId).map(({ problems }) => problems);
  const problems = model?.problems.length ? model.problems : [...new Set(found.flat())];
  const { requestCount, totalInferenceMs, lastUsedAtMs } = totalsOf(heartbeats, modelId);
  return {
    id: modelId,
    usable: model?.problems.length === 0 && (found.length === 0 || found.some((list) => list.length === 0)),
    problems: [...problems],
    preferred_gpu: model?.preferredGpu ?? null,
    fetching_on: currentWorkers(heartbeats).flatMap(({ gpuId, models }) => {
      const fetching = models.find((state) => state.modelId === modelId)?.fetching;
      return fetching && gpuId !== null ? [{ gpu: gpuId, ...fetching, fault: fetching.fault ?? null }] : [];
    }),
    loaded_on: holdersOf(heartbeats, modelId).map(
      ({ gpuId, memoryBytes, loadMs, msPerFrame, loadedAtMs, pictures }) => ({
        gpu: gpuId,
        memory_mb: toMb(memoryBytes),
        load_ms: toTenth(loadMs),
        ms_per_frame: toTenth(msPerFrame),
        loaded_at: new Date(loadedAtMs).toISOString(),
        pictures: pictures ?? null,
      }),
    ),
    requests: requestCount,
    average_inference_ms: requestCount > 0 ? totalInferenceMs / requestCount : null,
    last_used_at: lastUsedAtMs === null ? null : new Date(lastUsedAtMs).toISOString(),
  };
}

function viewHearing(hearing: Hearing): ModelView['hears'] {
  const latency = (rowsAhead: number) => {
    const latencyMs = algorithmicLatencyMs(hearing, rowsAhead);
    return Number.isFinite(latencyMs) ? toTenth(latencyMs) : null;
  };
  return {
    features: hearing.kind,
    rows: hearing.rowsBefore + 1 + hearing.rowsAfter,
    latency_ms: latency(hearing.rowsAfter),
    low_latency_ms: latency(LOW_LATENCY_ROWS_AHEAD),
  };
}

function statesOf(heartbeats: readonly Heartbeat[], modelId: string): Heartbeat['models'] {
  return heartbeats.flatMap(({ models }) => models.filter((model) => model.modelId === modelId));
}

/** Small models take less than one MB. */
export function toMb(bytes: number): number {
  return toTenth(bytes / MB);
}

/** What is measured says nothing beyond that. */
export function toTenth(value: number): number {
  return Math.round(value * 10) / 10;
}
