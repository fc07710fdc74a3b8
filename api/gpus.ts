import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Config } from '../shared/config/load.ts';
import { frameRatesOf } from '../shared/config/model-hearing.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { enrolledGpus, type QueueClients } from '../shared/jobs/queues.ts';
import { COUNTS_KEY, counterField } from '../shared/metrics/series.ts';
import { afterwards, untilKnown } from '../shared/redis/outcome.ts';
import type { FrameRate } from '../shared/sound/frame-rate.ts';
import type { Capacity, GpuList, GpuView } from '../shared/views/gpu-view.ts';
import type { ProcessState } from '../shared/views/process-view.ts';
import { GpuDrains, type GpuOrder } from '../shared/workers/gpu-drains.ts';
import { type Heartbeat, readHeartbeats, workerOf } from '../shared/workers/heartbeat.ts';
import { HostDrains } from '../shared/workers/host-drains.ts';
import { hostNameOf } from '../shared/workers/no-worker.ts';
import { streamsOn } from '../shared/workers/placement.ts';
import { freeStreams, StreamSlots, type Usage } from './live/slots.ts';
import type { AuditLog } from './logs/audit-log.ts';
import { toMb, toTenth } from './model-view.ts';
import { QueueHistory, WORK_KINDS } from './queue-history.ts';

/** A worker hears of an order at once, or else when it next looks. */
const FOLLOWS_WITHIN_MS = 2500;
const LOOK_EVERY_MS = 50;
/** Running jobs of a GPU that are looked at: a segment, and live requests on the express lane. */
const MOST_ACTIVE = 20;

type ModelState = Heartbeat['models'][number];

/** What the views of all GPUs are made of. */
interface Known {
  readonly heartbeats: readonly Heartbeat[];
  /** Of the models, by id. */
  readonly frameRates: ReadonlyMap<string, FrameRate>;
}

/** The farm's GPUs as an operator sees them, and the orders that he can give them. */
export class GpuService {
  readonly #redis: Redis;
  readonly #config: Config;
  readonly #drains: GpuDrains;
  readonly #hostDrains: HostDrains;
  readonly #slots: StreamSlots;
  readonly #queues: QueueClients;
  readonly #audit: AuditLog;
  /** The last minutes of the queues; has samples while a process has started it. */
  readonly history: QueueHistory;
  /** What the supervisor of this front end says of its processes. */
  processes: readonly ProcessState[] = [];

  constructor(config: Config, redis: Redis, queues: QueueClients, audit: AuditLog) {
    this.#redis = redis;
    this.#audit = audit;
    this.#config = config;
    this.#queues = queues;
    this.#drains = new GpuDrains(redis);
    this.#hostDrains = new HostDrains(redis);
    this.#slots = new StreamSlots(redis);
    this.history = new QueueHistory(config, redis);
  }

  /** GPUs with a worker, with work, or with an order to drain. */
  async list(): Promise<GpuList> {
    const [heartbeats, enrolled, drained, hosts, usage] = await Promise.all([
      readHeartbeats(this.#redis),
      enrolledGpus(this.#redis),
      this.#drains.all(),
      this.#hostDrains.all(),
      this.#slots.usage(),
    ]);
    const known = { heartbeats, frameRates: await frameRatesOf(this.#config.models) };
    const isOnOne = (gpuId: number) => hosts.has(hostNameOf(workerOf(heartbeats, gpuId) ?? { host: '' }));
    const gpuIds = new Set([...heartbeats.flatMap(({ gpuId }) => gpuId ?? []), ...enrolled, ...drained]);
    const views = await Promise.all(
      [...gpuIds]
        .sort((a, b) => a - b)
        .map((gpuId) => this.#view(gpuId, known, drained.has(gpuId) || isOnOne(gpuId), usage.get(gpuId))),
    );
    const gpus = views.filter(({ gpu, worker, backlog }) => worker !== null || backlog.jobs > 0 || drained.has(gpu));
    const capacity = sumOf(gpus.filter(({ state }) => state === 'ready').map((gpu) => gpu.capacity));
    return { gpus, capacity, processes: [...this.processes] };
  }

  /**
   * Gives an order, and waits a moment for the worker to follow it.
   * @throws FarmError `gpu_unknown`, `outcome_unknown`.
   */
  async order(gpuId: number, order: GpuOrder): Promise<GpuView> {
    return await this.#audit.noting(`gpu.${order}`, { gpu: gpuId }, () => this.#order(gpuId, order));
  }

  async #order(gpuId: number, order: GpuOrder): Promise<GpuView> {
    const known = (await this.list()).gpus.map(({ gpu }) => gpu);
    if (!known.includes(gpuId)) {
      throw new FarmError('gpu_unknown', `There is no GPU ${gpuId}; the farm has ${known.join(', ') || 'none'}`);
    }
    const what = `GPU ${gpuId} was to ${order}`;
    // To give the same order again changes nothing.
    await untilKnown(what, () => this.#drains.give(gpuId, order));
    return await afterwards(what, () => this.#followed(gpuId, order));
  }

  /** The GPU as soon as it has followed the order, or after a moment. */
  async #followed(gpuId: number, order: GpuOrder): Promise<GpuView> {
    const deadlineMs = performance.now() + FOLLOWS_WITHIN_MS;
    for (;;) {
      const view = (await this.list()).gpus.find(({ gpu }) => gpu === gpuId);
      if (!view) throw new FarmError('gpu_unknown', `GPU ${gpuId} has no worker and nothing on its queue any more`);
      const out = view.state === 'draining' || view.state === 'drained';
      if (order === 'drain' || !out || performance.now() > deadlineMs) return view;
      await delay(LOOK_EVERY_MS);
    }
  }

  async #view(gpuId: number, { heartbeats, frameRates }: Known, drained: boolean, usage?: Usage): Promise<GpuView> {
    const worker = workerOf(heartbeats, gpuId);
    const models = worker?.models ?? [];
    const most = this.#config.live.max_streams_per_gpu;
    const streamsOf = (modelId: string) =>
      streamsOn(heartbeats, gpuId, { modelId, frameRate: frameRates.get(modelId) }, most);
    const costliest = models.filter(({ cost }) => cost !== null).sort((a, b) => frameMsOf(b) - frameMsOf(a))[0];
    const state = stateOf(worker, drained);
    const backlog = await this.#backlog(gpuId, costliest?.cost?.frameMs);
    return {
      gpu: gpuId,
      state,
      worker: worker?.workerId ?? null,
      host: worker?.host ?? null,
      pid: worker?.pid ?? null,
      started_at: worker ? isoTime(worker.startedAtMs) : null,
      provider: worker?.provider ?? null,
      device: worker?.device ?? null,
      max_models: this.#config.capacity.max_models,
      memory: memoryOf(worker),
      models: models.map((model) => viewOfModel(model, streamsOf(model.modelId))),
      backlog,
      frames_made: await this.#framesMade(gpuId),
      renders: backlog.active > 0 ? await this.#renders(gpuId) : [],
      capacity: capacityOf(state === 'ready' ? streamsOf((costliest ?? models[0])?.modelId ?? '') : 0, usage),
    };
  }

  async #renders(gpuId: number): Promise<string[]> {
    const jobs = await this.#queues.gpu(gpuId).getActive(0, MOST_ACTIVE - 1);
    return [...new Set(jobs.flatMap((job) => (job?.name === 'segment' ? [String(job.data.renderId)] : [])))];
  }

  async #framesMade(gpu: number): Promise<number> {
    const fields = [...this.#config.models.keys()].flatMap((model) =>
      WORK_KINDS.map((kind) => counterField('farm_frames_total', { model, gpu, kind })),
    );
    if (fields.length === 0) return 0;
    const counts = await this.#redis.hmget(COUNTS_KEY, ...fields);
    return counts.reduce((sum, count) => sum + Number(count ?? 0), 0);
  }

  async #backlog(gpuId: number, frameMs: number | undefined): Promise<GpuView['backlog']> {
    const counts = await this.#queues.gpu(gpuId).getJobCounts('waiting', 'prioritized', 'delayed', 'active');
    const { waiting = 0, prioritized = 0, delayed = 0, active = 0 } = counts;
    const jobs = waiting + prioritized + delayed + active;
    const ms = frameMs === undefined ? null : Math.round(jobs * this.#config.render.segment_frames * frameMs);
    return { jobs, waiting: jobs - active, active, ms };
  }
}

function memoryOf(worker: Heartbeat | undefined): GpuView['memory'] {
  if (!worker?.memory) return null;
  const { usedBytes, limitBytes, processBytes } = worker.memory;
  return { used_mb: toMb(usedBytes), limit_mb: toMb(limitBytes), process_mb: toMb(processBytes) };
}

function stateOf(worker: Heartbeat | undefined, drained: boolean): GpuView['state'] {
  if (!worker) return 'gone';
  if (!worker.draining) return drained ? 'draining' : 'ready';
  return worker.runningJobs > 0 ? 'draining' : 'drained';
}

function viewOfModel(model: ModelState, streams: number): GpuView['models'][number] {
  const { modelId, loaded, cost, problems, blocked, usage, fetching } = model;
  return {
    model_id: modelId,
    loaded: loaded !== null,
    memory_mb: loaded && toMb(loaded.memoryBytes),
    load_ms: cost && toTenth(cost.loadMs),
    frame_ms: cost && toTenth(cost.frameMs),
    inference_ms: loaded && toTenth(loaded.msPerFrame),
    streams,
    problems,
    fetching: fetching ? { ...fetching, fault: fetching.fault ?? null } : null,
    blocked: blocked && { code: blocked.code, reason: blocked.reason, since: isoTime(blocked.sinceMs) },
    request_count: usage.requestCount,
  };
}

function capacityOf(streams: number, usage: Usage | undefined): Capacity {
  return { streams, used: usage?.streams ?? 0, free: freeStreams(streams, usage) };
}

function sumOf(capacities: readonly Capacity[]): Capacity {
  const total = { streams: 0, used: 0, free: 0 };
  for (const { streams, used, free } of capacities) {
    total.streams += streams;
    total.used += used;
    total.free += free;
  }
  return total;
}

function frameMsOf({ cost }: ModelState): number {
  return cost?.frameMs ?? 0;
}

function isoTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
