import { setTimeout as delay } from 'node:timers/promises';
import type { DisturbedRenders, Fault, Moment } from './disturbed-render.ts';

/** What can happen to a process of the farm. */

export const PROCESSES = ['api', 'media', 'gpu-0', 'redis'] as const;
export const MOMENTS: readonly Moment[] = ['uploading', 'queued', 'preparing', 'rendering', 'stitching'];
/** Longer than a lease, so that others take the work of what is frozen. */
export const FROZEN_MS = 10_000;

/** Ends a process at once; its supervisor starts it again. */
export function kill(renders: DisturbedRenders, name: string): Fault {
  return async () => {
    process.kill(await renders.pidOf(name), 'SIGKILL');
    return undefined;
  };
}

/** Tells a process to drain and end; its supervisor starts it again. */
export function terminate(renders: DisturbedRenders, name: string): Fault {
  return async () => {
    process.kill(await renders.pidOf(name), 'SIGTERM');
    return undefined;
  };
}

/** Stops a process for a while and lets it go on, unless its supervisor has replaced it meanwhile. */
export function freeze(renders: DisturbedRenders, name: string, frozenMs = FROZEN_MS): Fault {
  return async () => {
    const pid = await renders.pidOf(name);
    process.kill(pid, 'SIGSTOP');
    return async () => {
      await delay(frozenMs);
      try {
        process.kill(pid, 'SIGCONT');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    };
  };
}
