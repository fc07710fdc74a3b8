import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../errors/farm-error.ts';

/** A command that Redis did not answer, or refused because it cannot serve now. */
export class RedisUnavailable extends FarmError {
  override readonly name = 'RedisUnavailable';
  /** False when the command surely had no effect: it was never sent, or Redis refused it. True: nobody knows yet. */
  readonly mayHaveRun: boolean;

  constructor(message: string, mayHaveRun: boolean, options?: ErrorOptions) {
    super('redis_unavailable', message, options);
    this.mayHaveRun = mayHaveRun;
  }
}

/** How long Redis is asked what became of a step, counted from the step's begin. */
const PATIENCE_MS = 6000;
const ASK_AGAIN_AFTER_MS = 100;

/**
 * Takes a step with a lasting effect whose answer is to be the truth. Without an answer the step is taken again until
 * there is one, so it must be a step that may be repeated: the second time it finds its own work done.
 * @param what the step, as the begin of a sentence: "Render r1 was to be cancelled".
 * @param step is told whether it is taken again after an unknown outcome.
 * @throws RedisUnavailable when the step surely had no effect; FarmError('outcome_unknown') when nobody knows after six
 * seconds; whatever else the step throws.
 */
export async function untilKnown<T>(what: string, step: (again: boolean) => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (let again = false; ; ) {
    try {
      return await step(again);
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error;
      again ||= error.mayHaveRun;
      if (!again) throw error;
      if (performance.now() > deadlineMs) throw unknownOutcome(what, error);
    }
    await delay(ASK_AGAIN_AFTER_MS);
  }
}

/** Reads how something stands after a step that surely took effect: without an answer the step is not to be denied. */
export async function afterwards<T>(what: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw error instanceof RedisUnavailable ? unknownOutcome(what, error) : error;
  }
}

function unknownOutcome(what: string, cause: Error): FarmError {
  return new FarmError('outcome_unknown', `${what}, and whether it was is not known yet: ${cause.message}`, { cause });
}
