import type { Config } from '../../shared/config/load.ts';
import type { Logger } from '../../shared/process/log.ts';
import { repeat } from '../../shared/process/repeat.ts';
import { MB } from '../../shared/units.ts';
import type { Heartbeat, WorkerMemory } from '../../shared/workers/heartbeat.ts';
import { deviceUse } from '../onnx/device-use.ts';

/** How often the one-process server wrote these lines as well. */
const TELL_EVERY_MS = 10_000;

export interface StateLogTools {
  readonly config: Pick<Config, 'logging'>;
  readonly log: Logger;
  readonly models: () => Heartbeat['models'];
  readonly memory: () => WorkerMemory;
  readonly runningJobs: () => number;
  /** The part of the time since the last call in which the pipeline thread worked, 0 to 1. */
  readonly busyShare: () => number;
}

/** Logs what `log_cache_stats` and `log_gpu_utilization` ask for, now and every ten seconds. Returns how to stop. */
export function startStateLog(tools: StateLogTools): () => Promise<void> {
  const { log_cache_stats, log_gpu_utilization } = tools.config.logging;
  if (!log_cache_stats && !log_gpu_utilization) return async () => {};
  const tell = async () => {
    if (log_cache_stats) tellCache(tools);
    if (log_gpu_utilization) await tellUse(tools);
  };
  const telling = repeat(tell, {
    ...{
      name: 'log what the GPU does',
      everyMs: TELL_EVERY_MS,
      log: tools.log,
      first: 'now',
      keepsProcessAlive: false,
    },
  });
  return telling.stop;
}

function tellCache({ log, models, memory }: StateLogTools): void {
  const { usedBytes, limitBytes } = memory();
  const loaded = models().flatMap(({ modelId, loaded: state, usage }) =>
    state
      ? [{ model: modelId, mb: toMb(state.memoryBytes), requests: usage.requestCount, pictures: state.pictures }]
      : [],
  );
  log.info({ models: loaded.length, used_mb: toMb(usedBytes), limit_mb: toMb(limitBytes), loaded }, 'cache stats');
}

async function tellUse({ log, memory, runningJobs, busyShare }: StateLogTools): Promise<void> {
  const device = await deviceUse();
  const busy_percent = Math.round(100 * busyShare());
  const fields = { busy_percent, jobs: runningJobs(), process_mb: toMb(memory().processBytes), ...device };
  log.info(fields, 'gpu utilization');
}

function toMb(bytes: number): number {
  return Math.round(bytes / MB);
}
