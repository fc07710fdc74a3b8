import { Patience } from '../../shared/process/patience.ts';
import type { LoadPart } from '../models/model-slot.ts';

/** How long work may show no progress, in ms. */
export interface StuckLimits {
  readonly workMs: number;
  /** Opening a network may take minutes on a slow machine, and nothing can be seen of it meanwhile. */
  readonly loadMs: number;
}

/** The part of a load that goes on; pictures that are taken out of a video have limits of their own. */
export type Loading = LoadPart | undefined;

const LOOK_EVERY_MS = 500;

/**
 * Watches the pipeline thread from outside. A run of a network blocks that thread, so it cannot watch itself: what is
 * seen here are its signs of progress. A thread without work may be silent for ever.
 */
export class ThreadWatch {
  readonly #limits: StuckLimits;
  readonly #isBusy: () => boolean;
  readonly #onStuck: (silentMs: number) => void;
  readonly #looking: NodeJS.Timeout;
  #patience: Patience | undefined;
  #loading: Loading;
  #stepAtMs = performance.now();

  /** @param onStuck told once, with the limit that was passed. */
  constructor(limits: StuckLimits, isBusy: () => boolean, onStuck: (silentMs: number) => void) {
    this.#limits = limits;
    this.#isBusy = isBusy;
    this.#onStuck = onStuck;
    this.#begin();
    this.#looking = setInterval(() => {
      if (!this.#isBusy() || this.#loading === 'extracting') this.#renew();
    }, LOOK_EVERY_MS).unref();
  }

  /** Milliseconds since the last sign of progress, 0 without work and while a model is loaded. */
  get silentMs(): number {
    return this.#isBusy() && this.#loading === undefined ? performance.now() - this.#stepAtMs : 0;
  }

  /** There was a sign of progress. */
  step(): void {
    this.#renew();
  }

  /** A load has begun, gone on to its next part, or ended. */
  load(loading: Loading): void {
    this.#loading = loading;
    this.#begin();
  }

  stop(): void {
    clearInterval(this.#looking);
    this.#patience?.stop();
  }

  #begin(): void {
    this.#patience?.stop();
    const limitMs = this.#loading ? this.#limits.loadMs : this.#limits.workMs;
    this.#patience = new Patience(limitMs, () => this.#onStuck(limitMs));
    this.#renew();
  }

  #renew(): void {
    this.#stepAtMs = performance.now();
    this.#patience?.renew();
  }
}
