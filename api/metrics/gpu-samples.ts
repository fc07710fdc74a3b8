import type { Config } from '../../shared/config/load.ts';
import { gpuQueue } from '../../shared/jobs/queues.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import { currentWorkers, type Heartbeat } from '../../shared/workers/heartbeat.ts';
import { streamsOn } from '../../shared/workers/placement.ts';
import type { Usage } from '../live/slots.ts';
import type { Samples } from './gauges.ts';
import type { QueueLook } from './queue-look.ts';

/** The cost of a frame where no model was measured yet. */
const UNMEASURED_FRAME_MS = 20;

export interface GpuFacts {
  readonly config: Config;
  /** GPUs with a worker, with work, or that once had a worker. */
  /** Of the models, by id. */
  readonly frameRates: ReadonlyMap<string, FrameRate>;
  readonly gpuIds: readonly number[];
  readonly heartbeats: readonly Heartbeat[];
  readonly drained: ReadonlySet<number>;
  readonly streams: ReadonlyMap<number, Usage>;
  readonly queues: readonly QueueLook[];
}

/** What is to be said of each GPU. */
export function sampleGpus(facts: GpuFacts, samples: Samples): void {
  const { config, frameRates, gpuIds, heartbeats, drained, streams, queues } = facts;
  const workers = new Map(currentWorkers(heartbeats).map((worker) => [worker.gpuId, worker]));
  const onQueue = new Map(queues.map((look) => [look.queue, look]));
  for (const gpu of gpuIds) {
    const worker = workers.get(gpu);
    const { waiting = 0, delayed = 0, active = 0 } = onQueue.get(gpuQueue(gpu)) ?? {};
    const jobs = waiting + delayed + active;
    // One that has left, and has nothing to do, is no GPU of this farm any more.
    if (!worker && jobs === 0 && !drained.has(gpu)) continue;
    const ready = worker !== undefined && !worker.draining && !drained.has(gpu);
    const costliest = costliestModel(worker);
    const modelId = costliest?.modelId ?? '';
    const frameMs = costliest?.cost?.frameMs ?? UNMEASURED_FRAME_MS;
    const perGpu = streamsOn(
      heartbeats,
      gpu,
      { modelId, frameRate: frameRates.get(modelId) },
      config.live.max_streams_per_gpu,
    );
    samples.set('farm_gpu_up', { gpu }, worker ? 1 : 0);
    samples.set('farm_gpu_ready', { gpu }, ready ? 1 : 0);
    samples.set('farm_backlog_seconds', { gpu }, (jobs * config.render.segment_frames * frameMs) / 1000);
    samples.set('farm_stream_capacity', { gpu }, ready ? perGpu : 0);
    samples.set('farm_streams', { gpu }, streams.get(gpu)?.streams ?? 0);
    if (worker) sampleWorker(gpu, worker, samples);
  }
}

function costliestModel(worker: Heartbeat | undefined) {
  const measured = (worker?.models ?? []).filter(({ cost }) => cost !== null);
  return measured.sort((a, b) => (b.cost?.frameMs ?? 0) - (a.cost?.frameMs ?? 0))[0] ?? worker?.models[0];
}

function sampleWorker(gpu: number, { models, memory, silentMs = 0 }: Heartbeat, samples: Samples): void {
  samples.set('farm_models_loaded', { gpu }, models.filter(({ loaded }) => loaded !== null).length);
  samples.set('farm_models_blocked', { gpu }, models.filter(({ blocked }) => blocked !== null).length);
  samples.set('farm_models_memory_bytes', { gpu }, memory?.usedBytes ?? 0);
  samples.set('farm_models_memory_limit_bytes', { gpu }, memory?.limitBytes ?? 0);
  samples.set('farm_worker_silent_seconds', { gpu }, silentMs / 1000);
  for (const { modelId, cost } of models) {
    if (cost) samples.set('farm_model_frame_seconds', { model: modelId, gpu }, cost.frameMs / 1000);
  }
}
