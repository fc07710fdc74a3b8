import type { GpuView } from '../shared/views/gpu-view.ts';

/** What this page has seen of the GPUs, kept while it is open, whichever of its views is shown. */

const MOST_LOOKS = 150;
/** Frames/s are those of so long. */
const RATE_OVER_MS = 10_000;

interface Look {
  readonly atMs: number;
  readonly jobs: number;
  readonly framesMade: number;
}

const looks = new Map<number, Look[]>();
const lastFrames = new Map<number, number>();

export function noteGpus(gpus: readonly GpuView[], atMs = Date.now()): void {
  for (const { gpu, backlog, frames_made: framesMade } of gpus) {
    const before = looks.get(gpu) ?? [];
    if (framesMade > (before.at(-1)?.framesMade ?? framesMade)) lastFrames.set(gpu, atMs);
    looks.set(gpu, [...before, { atMs, jobs: backlog.jobs, framesMade }].slice(-MOST_LOOKS));
  }
}

export const CHART_SLOTS = MOST_LOOKS;

/** Jobs on the queue of a GPU at each look, oldest first. */
export function jobsOf(gpu: number): number[] {
  return (looks.get(gpu) ?? []).map(({ jobs }) => jobs);
}

/** Frames that it has made a second, lately; undefined before a second look. */
export function framesPerSecond(gpu: number): number | undefined {
  const all = looks.get(gpu) ?? [];
  const last = all.at(-1);
  const first = last && all.find(({ atMs }) => atMs >= last.atMs - RATE_OVER_MS);
  if (!first || !last || first === last) return undefined;
  return Math.max(0, (1000 * (last.framesMade - first.framesMade)) / (last.atMs - first.atMs));
}

/** When this page last saw that it had made one, in ms since 1970. */
export function lastFrameMs(gpu: number): number | undefined {
  return lastFrames.get(gpu);
}
