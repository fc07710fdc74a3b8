/** What `/metrics` says of the farm as it is now. What it counts is in shared/metrics/catalogue.ts. */

function gauge<const L extends string = never>(help: string, ...labels: L[]) {
  return { help, labels };
}

export const GAUGES = {
  farm_redis_up: gauge('1 while Redis answers the front end that was asked; without it most of the rest is missing.'),
  farm_redis_memory_bytes: gauge('Memory that Redis uses.'),
  farm_redis_memory_limit_bytes: gauge('The maxmemory of Redis; 0 is none.'),
  farm_redis_clients: gauge('Connections to Redis.'),
  farm_redis_aof_enabled: gauge('1 while Redis keeps its append-only file, so that nothing is lost when it ends.'),
  farm_redis_aof_ok: gauge('1 while the last write and the last rewrite of the append-only file succeeded.'),
  farm_redis_rdb_ok: gauge('1 while the last snapshot of Redis succeeded.'),
  farm_disk_free_bytes: gauge('Free disk under storage.root, as the front end that was asked sees it.'),
  farm_disk_size_bytes: gauge('Size of that disk.'),
  farm_disk_reserve_bytes: gauge('limits.disk_reserve_gb: below it new renders are refused.'),
  farm_stored_bytes: gauge('What the files of renders take.'),
  farm_segments_kept: gauge('Segments that are kept for later renders.'),
  farm_segments_kept_bytes: gauge('What their files take, those that a render shares included.'),
  farm_segments_kept_limit_bytes: gauge('storage.segment_cache_gb: above it the least recently used ones go.'),
  farm_renders_unfinished: gauge('Renders that have not ended.'),
  farm_renders_limit: gauge('server.queue_size: with so many unfinished renders new ones are refused.'),
  farm_queue_jobs: gauge('Jobs on a queue, by state.', 'queue', 'state'),
  farm_queue_oldest_job_seconds: gauge(
    'How long the oldest waiting job of a queue has been there; 0 without.',
    'queue',
  ),
  farm_gpu_up: gauge('1 while a worker serves the GPU.', 'gpu'),
  farm_gpu_ready: gauge('1 while it takes work: up, and not drained.', 'gpu'),
  farm_backlog_seconds: gauge('Time that the jobs on the queue of a GPU will take it: what to scale by.', 'gpu'),
  farm_stream_capacity: gauge('Live streams that a GPU can render in real time.', 'gpu'),
  farm_streams: gauge('Live streams that have a place on a GPU.', 'gpu'),
  farm_models_loaded: gauge('Models in the memory of a GPU worker.', 'gpu'),
  farm_models_blocked: gauge('Models that a GPU worker has blocked after failures.', 'gpu'),
  farm_models_memory_bytes: gauge('What the models of a GPU worker take.', 'gpu'),
  farm_models_memory_limit_bytes: gauge('What they may take.', 'gpu'),
  farm_model_frame_seconds: gauge('What one frame of a model costs on a GPU, as measured.', 'model', 'gpu'),
  farm_worker_silent_seconds: gauge('How long the work of a GPU has shown no progress.', 'gpu'),
  farm_job_idle_seconds: gauge(
    'Time since the last progress of each job that runs.',
    'process',
    'host',
    'job',
    'place',
  ),
  farm_process_jobs: gauge('Jobs that run in a process.', 'process', 'host'),
  farm_process_memory_bytes: gauge('Resident memory of a process.', 'process', 'host'),
  farm_process_start_time_seconds: gauge('When a process started, since 1970.', 'process', 'host'),
  farm_event_loop_lag_seconds: gauge(
    'Longest time in the last two seconds for which the main thread of a process was blocked.',
    'process',
    'host',
  ),
  farm_metrics_series: gauge('Series that are counted in Redis.'),
} as const;

export type GaugeName = keyof typeof GAUGES;
type LabelsOf<N extends GaugeName> = Readonly<Record<(typeof GAUGES)[N]['labels'][number], string | number>>;

export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

/** The values of the gauges, at one moment. */
export class Samples {
  readonly byName = new Map<GaugeName, Sample[]>();

  set<N extends GaugeName>(name: N, labels: LabelsOf<N>, value: number): void {
    const known = this.byName.get(name);
    if (known) known.push({ labels, value });
    else this.byName.set(name, [{ labels, value }]);
  }
}
