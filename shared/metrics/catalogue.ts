/**
 * What the farm counts, by the names that Prometheus sees. These numbers only grow: each process adds to them in Redis
 * (tally.ts), so that neither the end of a process nor the front end that is asked makes one fall. What is so now, and
 * not counted, is in api/metrics/state.ts.
 *
 * Each label has few values: models of the configuration, GPU numbers, routes as the farm writes them, and words of this
 * code. Never put an id of a render or anything that a caller has written into a label.
 */

/** Upper bounds of the buckets of a histogram, in seconds. */
const FAST_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const SLOW_S = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600];
/** Of a stage's work on one frame. */
const STAGE_S = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.5];

export interface CountedMetric<L extends string = string> {
  readonly help: string;
  readonly labels: readonly L[];
  /** Of a histogram. */
  readonly buckets?: readonly number[];
}

function counter<const L extends string = never>(help: string, ...labels: L[]): CountedMetric<L> {
  return { help, labels };
}

function histogram<const L extends string = never>(
  buckets: readonly number[],
  help: string,
  ...labels: L[]
): CountedMetric<L> & { readonly buckets: readonly number[] } {
  return { help, labels, buckets };
}

export const COUNTERS = {
  farm_frames_total: counter('Frames rendered, those that were rendered again included.', 'model', 'gpu', 'kind'),
  farm_silent_frames_total: counter('Frames in silence, by a silence gate.', 'model', 'gpu', 'kind'),
  farm_spared_frames_total: counter('Frames in silence that needed no run of the network.', 'model', 'gpu', 'kind'),
  farm_silent_mouths_total: counter('Runs of the network that made mouths of silence.', 'model', 'gpu', 'kind'),
  farm_segments_total: counter('Segments of renders, by how they ended on a GPU.', 'model', 'gpu', 'outcome'),
  farm_segments_looked_up_total: counter(
    'Segments that were looked for among those kept: "hit" needs no GPU; "damaged" ones are rendered again.',
    'model',
    'outcome',
  ),
  farm_segments_evicted_total: counter('Kept segments that were removed for others.'),
  farm_requests_total: counter('Live requests, by how they ended on a GPU.', 'model', 'gpu', 'outcome'),
  farm_renders_submitted_total: counter('Renders taken.', 'model'),
  farm_renders_total: counter('Renders that have ended, by how.', 'model', 'outcome'),
  farm_quality_findings_total: counter('Completed renders with a finding of quality.', 'model', 'finding'),
  farm_stage_seconds_total: counter('Time that GPU workers spent in a stage.', 'stage', 'gpu'),
  farm_model_loads_total: counter('Times that a model was brought into memory.', 'model', 'gpu'),
  farm_jobs_total: counter('Runs of jobs, by how they ended; "retry" and "wait" come again.', 'job', 'outcome'),
  farm_jobs_stalled_total: counter('Jobs whose worker was lost, and which others took over.', 'queue'),
  farm_workers_stuck_total: counter('Times that a GPU worker ended because its work had stopped.', 'gpu'),
  farm_process_starts_total: counter('Starts of processes; all but the first of each are restarts.', 'process'),
  farm_cpu_seconds_total: counter('Processor time of the processes, ffmpeg not included.', 'process'),
  farm_http_requests_total: counter('HTTP requests answered.', 'method', 'route', 'code'),
  farm_grpc_requests_total: counter('gRPC calls ended, by gRPC status.', 'method', 'code'),
  farm_metrics_dropped_total: counter('Counts that were left out because there are too many series.'),
} as const;

export const HISTOGRAMS = {
  farm_render_seconds: histogram(SLOW_S, 'From the submission of a render to its completion.'),
  farm_render_wait_seconds: histogram(SLOW_S, 'From the submission of a render to its first frame on a GPU.'),
  farm_stage_frame_seconds: histogram(STAGE_S, 'Time in a stage for one frame, averaged over a job.', 'stage', 'kind'),
  farm_job_seconds: histogram(SLOW_S, 'Length of a run of a job.', 'job'),
  farm_job_wait_seconds: histogram(SLOW_S, 'From the time a job could be taken to its first run.', 'job'),
  farm_live_seconds: histogram(FAST_S, 'From a live request to the end of its answer, as its front end saw it.'),
  farm_live_wait_seconds: histogram(FAST_S, 'Of that, until a GPU worker had taken it.'),
  farm_http_request_seconds: histogram(FAST_S, 'From the head of an HTTP request to the end of its answer.', 'route'),
  farm_grpc_request_seconds: histogram(FAST_S, 'From the begin of a gRPC call to its end.', 'method'),
} as const;

export type CounterName = keyof typeof COUNTERS;
export type HistogramName = keyof typeof HISTOGRAMS;

type LabelsIn<M> = M extends CountedMetric<infer L> ? L : never;
export type CounterLabels<N extends CounterName> = Readonly<Record<LabelsIn<(typeof COUNTERS)[N]>, string | number>>;
export type HistogramLabels<N extends HistogramName> = Readonly<
  Record<LabelsIn<(typeof HISTOGRAMS)[N]>, string | number>
>;

/** All of them, by name. */
export const COUNTED: Readonly<Record<string, CountedMetric>> = { ...COUNTERS, ...HISTOGRAMS };
