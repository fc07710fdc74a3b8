import type { JobName } from '../../shared/jobs/jobs.ts';
import type { ProcessReport } from '../../shared/metrics/report.ts';

/** Places that are shown one by one; a GPU worker may have more live requests at once. */
const MOST_PLACES = 32;

interface Running {
  readonly job: JobName;
  readonly place: number;
  progressAtMs: number;
}

/** A job that runs in this process, for `/metrics`. */
export interface RunningJob {
  /** Something of it was done. */
  progressed(): void;
  ended(): void;
}

/** All jobs of this process, whichever queue they came from. */
const running = new Set<Running>();

/** Notes that a job begins. It gets the first free place among those of its kind. */
export function beginJob(job: JobName): RunningJob {
  const taken = new Set([...running].filter((other) => other.job === job).map(({ place }) => place));
  let place = 0;
  while (taken.has(place)) place++;
  const entry: Running = { job, place, progressAtMs: performance.now() };
  running.add(entry);
  return {
    progressed() {
      entry.progressAtMs = performance.now();
    },
    ended: () => running.delete(entry),
  };
}

/** For the report of this process. */
export function reportJobs(): Required<Pick<ProcessReport, 'runningJobs' | 'jobs'>> {
  const nowMs = performance.now();
  const shown = [...running].filter(({ place }) => place < MOST_PLACES);
  const jobs = shown.map(({ job, place, progressAtMs }) => ({ job, place, idleMs: Math.round(nowMs - progressAtMs) }));
  return { runningJobs: running.size, jobs };
}
