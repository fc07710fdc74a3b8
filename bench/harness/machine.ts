import { availableParallelism, cpus, loadavg } from 'node:os';
import { Worker } from 'node:worker_threads';

/** The machine that is measured on, and how much of it is free. */

const SPIN_MS = 300;
/** Below this share of the cores, times on the clock say little. */
const QUIET = 0.9;

/** Cores, processor and version of Node, in one line. */
export const MACHINE = `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}`;

export interface MachineState {
  /** Runnable processes over the last minute, as the system says. */
  readonly load: number;
  /** Share of the cores that this process gets when it wants all of them, 0 … 1. */
  readonly freeShare: number;
}

/** Takes a third of a second: all cores are asked for at once. Load averages of a container are those of its host. */
export async function machineState(): Promise<MachineState> {
  const threads = availableParallelism();
  const before = process.cpuUsage();
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: threads }, spin));
  const { user, system } = process.cpuUsage(before);
  const share = (user + system) / 1000 / (threads * (performance.now() - startedAt));
  return { load: loadavg()[0] ?? 0, freeShare: Math.min(1, share) };
}

/** Undefined on a quiet machine, else a warning in words. */
export function busyWarning({ freeShare }: MachineState): string | undefined {
  if (freeShare >= QUIET) return undefined;
  const percent = Math.round(100 * freeShare);
  return `The machine is busy: this process got ${percent} % of the cores. Ratios and CPU times still say something, times on the clock do not.`;
}

function spin(): Promise<void> {
  const source = `const end = performance.now() + ${SPIN_MS}; while (performance.now() < end);`;
  const worker = new Worker(source, { eval: true });
  return new Promise((resolve, reject) => worker.once('exit', () => resolve()).once('error', reject));
}
