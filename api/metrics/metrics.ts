import { statfs } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Config } from '../../shared/config/load.ts';
import { frameRatesOf } from '../../shared/config/model-hearing.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { enrolledGpus } from '../../shared/jobs/queues.ts';
import { type ProcessReport, readReports } from '../../shared/metrics/report.ts';
import { COUNTS_KEY, readSeries, type Series } from '../../shared/metrics/series.ts';
import { ignored, logged } from '../../shared/process/unheard.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import { GB } from '../../shared/units.ts';
import { GpuDrains } from '../../shared/workers/gpu-drains.ts';
import { readHeartbeats } from '../../shared/workers/heartbeat.ts';
import { StreamSlots } from '../live/slots.ts';
import { writeMetrics } from './exposition.ts';
import { Samples } from './gauges.ts';
import { sampleGpus } from './gpu-samples.ts';
import { sampleKept } from './kept-samples.ts';
import { lookAtQueues } from './queue-look.ts';
import { sampleRedis } from './redis-samples.ts';

/** However many ask, so often at most is it looked anew. */
const LOOK_EVERY_MS = 1000;

export interface MetricsTools {
  readonly config: Config;
  readonly redis: Redis;
  readonly store: RenderStore;
}

/**
 * The page that Prometheus reads: what the whole farm has counted, and how it is now. What it costs depends on the number
 * of processes, GPUs and models, and not on that of renders.
 */
export class Metrics {
  readonly #tools: MetricsTools;
  #page: Promise<string> | undefined;

  constructor(tools: MetricsTools) {
    this.#tools = tools;
  }

  /** As it was at most a second ago. While Redis is away it says that, and little else. */
  async page(): Promise<string> {
    this.#page ??= this.#look().finally(() => {
      setTimeout(() => {
        this.#page = undefined;
      }, LOOK_EVERY_MS).unref();
    });
    return await this.#page;
  }

  async #look(): Promise<string> {
    const samples = new Samples();
    const disk = this.#sampleDisk(samples).catch(logged('could not see how full the disk is, for /metrics'));
    let counted = new Map<string, Series[]>();
    try {
      const [fields] = await Promise.all([this.#tools.redis.hgetall(COUNTS_KEY), this.#sampleFarm(samples)]);
      samples.set('farm_metrics_series', {}, Object.keys(fields).length);
      counted = readSeries(fields);
    } catch (error) {
      const { code } = FarmError.from(error);
      if (code !== 'redis_unavailable' && code !== 'outcome_unknown') throw error;
      samples.byName.set('farm_redis_up', [{ labels: {}, value: 0 }]);
    }
    await disk;
    return await writeMetrics(counted, samples);
  }

  async #sampleFarm(samples: Samples): Promise<void> {
    const { config, redis, store } = this.#tools;
    const [heartbeats, enrolled, drained, streams, reports] = await Promise.all([
      readHeartbeats(redis),
      enrolledGpus(redis),
      new GpuDrains(redis).all(),
      new StreamSlots(redis).usage(),
      readReports(redis),
      sampleRedis(redis, samples),
    ]);
    const known = new Set([...heartbeats.flatMap(({ gpuId }) => gpuId ?? []), ...enrolled, ...drained]);
    const gpuIds = [...known].sort((a, b) => a - b);
    const queues = await lookAtQueues(redis, gpuIds);
    for (const { queue, oldestSeconds, ...states } of queues) {
      for (const [state, jobs] of Object.entries(states)) samples.set('farm_queue_jobs', { queue, state }, jobs);
      samples.set('farm_queue_oldest_job_seconds', { queue }, oldestSeconds);
    }
    const frameRates = await frameRatesOf(config.models);
    sampleGpus({ config, frameRates, gpuIds, heartbeats, drained, streams, queues }, samples);
    sampleProcesses(reports, samples);
    samples.set('farm_renders_unfinished', {}, await store.countActive());
    samples.set('farm_renders_limit', {}, config.server.queue_size);
    samples.set('farm_stored_bytes', {}, (await store.stored.totals()).bytes);
    await sampleKept(redis, config, samples);
  }

  async #sampleDisk(samples: Samples): Promise<void> {
    const { config } = this.#tools;
    samples.set('farm_disk_reserve_bytes', {}, config.limits.disk_reserve_gb * GB);
    // A network drive that hangs must not keep the rest back.
    const late = delay(LOOK_EVERY_MS, undefined, { ref: false });
    const asked = statfs(config.storageRoot);
    asked.catch(ignored('whoever awaits it is told'));
    const found = await Promise.race([asked, late]);
    if (!found) return;
    samples.set('farm_disk_free_bytes', {}, found.bavail * found.bsize);
    samples.set('farm_disk_size_bytes', {}, found.blocks * found.bsize);
  }
}

/** Several processes of one name on one host are told apart by the order of their starts: no label changes for ever. */
function sampleProcesses(reports: readonly ProcessReport[], samples: Samples): void {
  const seen = new Map<string, number>();
  for (const report of reports) {
    const place = (seen.get(`${report.name} ${report.host}`) ?? 0) + 1;
    seen.set(`${report.name} ${report.host}`, place);
    const { host } = report;
    const labels = { process: place === 1 ? report.name : `${report.name}-${place}`, host };
    samples.set('farm_process_memory_bytes', labels, report.memoryBytes);
    samples.set('farm_process_start_time_seconds', labels, report.startedAtMs / 1000);
    samples.set('farm_event_loop_lag_seconds', labels, report.eventLoopBlockedMaxMs / 1000);
    if (report.runningJobs !== undefined) samples.set('farm_process_jobs', labels, report.runningJobs);
    for (const { job, place, idleMs } of report.jobs ?? []) {
      samples.set('farm_job_idle_seconds', { ...labels, job, place }, idleMs / 1000);
    }
  }
}
