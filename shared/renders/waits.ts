import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { FarmError } from '../errors.ts';
import { MINUTE_MS } from '../units.ts';
import { recordKey, waitsKey } from './keys.ts';
import { errorReportSchema } from './record.ts';
import { WAIT } from './scripts.ts';

const waitSchema = z.object({
  code: errorReportSchema.shape.code,
  message: z.string(),
  /** When the step first failed for a fault of the farm, without success since. */
  sinceMs: z.number(),
  /** When it is tried again; in the past while it is being tried. */
  nextTryAtMs: z.number(),
});
export type RenderWait = z.infer<typeof waitSchema>;

const PAUSE_MS = { shortest: 1000, longest: MINUTE_MS } as const;

/** What steps of renders wait for, because the farm is at fault: a step is `prepare`, `stitch` or a segment. */
export class RenderWaits {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Notes that a step has failed now, and says when it is to be tried again: the longer it has failed, the later.
   * Undefined when it has failed for `patienceMs`, or when the render is gone.
   */
  async note(renderId: string, step: string, fault: FarmError, patienceMs: number): Promise<RenderWait | undefined> {
    const nowMs = Date.now();
    const known = await this.#redis.hget(waitsKey(renderId), step);
    const sinceMs = known === null ? nowMs : (parseWait(known)?.sinceMs ?? nowMs);
    const waitedMs = nowMs - sinceMs;
    if (waitedMs >= patienceMs) return undefined;
    const pauseMs = Math.min(PAUSE_MS.longest, Math.max(PAUSE_MS.shortest, waitedMs));
    const nextTryAtMs = Math.min(nowMs + pauseMs, sinceMs + patienceMs);
    const wait: RenderWait = { code: fault.code, message: fault.message, sinceMs, nextTryAtMs };
    const keys = [recordKey(renderId), waitsKey(renderId)];
    return (await this.#redis.eval(WAIT, 2, ...keys, step, JSON.stringify(wait))) === 1 ? wait : undefined;
  }

  /** The step has succeeded. */
  async over(renderId: string, step: string): Promise<void> {
    await this.#redis.hdel(waitsKey(renderId), step);
  }

  /** What the render has waited for longest; undefined when it waits for nothing. */
  async longest(renderId: string): Promise<RenderWait | undefined> {
    const texts = await this.#redis.hvals(waitsKey(renderId));
    const waits = texts.map(parseWait).filter((wait) => wait !== undefined);
    return waits.sort((a, b) => a.sinceMs - b.sinceMs)[0];
  }
}

/** Undefined for what another version of the farm has written in another form. */
function parseWait(text: string): RenderWait | undefined {
  return waitSchema.safeParse(JSON.parse(text)).data;
}
