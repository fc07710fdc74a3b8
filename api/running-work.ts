import { setTimeout as delay } from 'node:timers/promises';
import { FarmError } from '../shared/errors/farm-error.ts';
import { ignored } from '../shared/process/unheard.ts';

/** Time for what was told to stop to say so. */
const FAREWELL_MS = 1000;

/** Calls and sockets that run, which a front end lets finish before it ends. */
export class RunningWork {
  readonly #running = new Map<AbortController, Promise<void>>();

  /** Counts work until the function that this returns is called. @param controller stops it. */
  begin(controller: AbortController): () => void {
    const ended = Promise.withResolvers<void>();
    this.#running.set(controller, ended.promise);
    return () => {
      this.#running.delete(controller);
      ended.resolve();
    };
  }

  /** Resolves when all that runs has ended; after `patienceMs` it is told to stop. */
  async finish(patienceMs: number): Promise<void> {
    if (await this.#endWithin(patienceMs)) return;
    const error = new FarmError('farm_draining', `This front end stops; it waited ${patienceMs / 1000} s for the call`);
    for (const controller of this.#running.keys()) controller.abort(error);
    await this.#endWithin(FAREWELL_MS);
  }

  async #endWithin(timeMs: number): Promise<boolean> {
    const timer = new AbortController();
    const late = delay(timeMs, false, { signal: timer.signal }).catch(ignored('all have ended first', false));
    const ended = Promise.all(this.#running.values()).then(() => true);
    try {
      return await Promise.race([ended, late]);
    } finally {
      timer.abort();
    }
  }
}
