import { setTimeout as delay } from 'node:timers/promises';

const PATIENCE_MS = 30_000;
/** Often enough that no test waits long, and seldom enough to leave the processor to what is waited for. */
const ASK_EVERY_MS = 20;

/**
 * Asks again and again until the answer is true; fails after half a minute. For what announces itself in no other way.
 * @param everyMs more where asking costs the farm something and what is asked for stays as it is.
 */
export async function until(
  what: string,
  ask: () => boolean | Promise<boolean>,
  everyMs = ASK_EVERY_MS,
): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!(await ask())) {
    if (performance.now() > deadlineMs) throw new Error(`In vain waited until ${what}`);
    await delay(everyMs);
  }
}
