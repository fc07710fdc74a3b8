import type { Redis } from 'ioredis';
import { PROCESSES_KEY } from '../../shared/metrics/report.ts';
import { COUNTS_KEY, counterField, histogramFields } from '../../shared/metrics/series.ts';
import { HEARTBEAT_KEY_PREFIX, WORKERS_KEY } from '../../shared/workers/heartbeat.ts';

/** What a farm of so many GPUs leaves in Redis for `/metrics`, at work: heartbeats, reports of processes, counts. */
export interface FarmSize {
  readonly gpus: number;
  /** In the memory of each GPU, and counted there. */
  readonly models: number;
  /** Jobs that run on each GPU, one by one in its report. */
  readonly jobs: number;
}

export async function writeFarmState(redis: Redis, { gpus, models, jobs }: FarmSize): Promise<void> {
  const names = Array.from({ length: models }, (_, at) => `avatar-${at}`);
  const [seconds] = await redis.time();
  const counts = new Map<string, number>();
  const pipeline = redis.pipeline();
  for (let gpu = 0; gpu < gpus; gpu++) {
    const workerId = `worker-${gpu}`;
    pipeline.set(HEARTBEAT_KEY_PREFIX + workerId, JSON.stringify(heartbeatOf(workerId, gpu, names)), 'EX', 600);
    pipeline.sadd(WORKERS_KEY, workerId);
    // Reports end after seconds by the clock of Redis: these are of later.
    const report = `${Number(seconds) + 600} ${JSON.stringify(reportOf(gpu, jobs))}`;
    pipeline.hset(PROCESSES_KEY, workerId, report);
    for (const model of names) {
      for (const kind of ['render', 'live']) counts.set(counterField('farm_frames_total', { model, gpu, kind }), 1000);
      counts.set(counterField('farm_segments_total', { model, gpu, outcome: 'completed' }), 10);
      counts.set(counterField('farm_requests_total', { model, gpu, outcome: 'completed' }), 10);
    }
  }
  for (const stage of ['mel', 'encoder', 'inference', 'composite', 'encode']) {
    for (let ms = 0.05; ms < 1000; ms *= 2) {
      const { bucket, sum } = histogramFields('farm_stage_frame_seconds', { stage, kind: 'live' }, ms / 1000);
      counts.set(bucket, 5).set(sum, 5);
    }
  }
  pipeline.hset(COUNTS_KEY, counts);
  await pipeline.exec();
}

function heartbeatOf(workerId: string, gpuId: number, names: readonly string[]): object {
  const usage = { requestCount: 9, totalInferenceMs: 99, lastUsedAtMs: 5 };
  const loaded = { loadMs: 90, msPerFrame: 8, loadedAtMs: 7, memoryBytes: 300e6 };
  const cost = { loadMs: 90, frameMs: 10 };
  const models = names.map((modelId) => ({ modelId, loaded, problems: [], cost, blocked: null, usage }));
  const about = {
    host: `host-${gpuId >> 3}`,
    pid: 1,
    startedAtMs: 5,
    provider: 'cuda',
    device: 'A card',
    draining: false,
  };
  return { workerId, gpuId, ...about, models, runningJobs: 3, eventLoopBlockedMaxMs: 4 };
}

function reportOf(gpu: number, count: number): object {
  const jobs = Array.from({ length: count }, (_, place) => ({ job: 'live', place, idleMs: 40 }));
  const about = { name: `gpu-${gpu}`, host: `host-${gpu >> 3}`, startedAtMs: 1000 + gpu };
  return { ...about, memoryBytes: 9e8, eventLoopBlockedMaxMs: 3, runningJobs: count, jobs };
}
