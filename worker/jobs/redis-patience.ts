import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../../shared/errors/farm-error.ts';

/** How soon what Redis refused is given to it again, in ms. */
export const TRY_REDIS_AGAIN_MS = 1000;

/** True for a failure after which nobody knows what is in Redis. */
export function isSilenceOfRedis(fault: unknown): boolean {
  const { code } = FarmError.from(fault);
  return code === 'redis_unavailable' || code === 'outcome_unknown';
}

/**
 * Does `work` again, every second, for as long as Redis refuses it or does not answer. Throws what else it fails with.
 * @param signal gives up the wait: the call rejects.
 */
export async function untilRedisTakes<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isSilenceOfRedis(error)) throw error;
    }
    await delay(TRY_REDIS_AGAIN_MS, undefined, { ...(signal ? { signal } : {}), ref: false });
  }
}
