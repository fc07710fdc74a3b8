import type { StreamPlace } from './admission.ts';

export interface HeldPlaceTools {
  /** The place that the stream was let in with. */
  readonly place: StreamPlace;
  /** Asks for another one. FarmError: capacity_full. */
  readonly admit: () => Promise<StreamPlace>;
  /** Without sound for this long, the place is given back until sound comes again. */
  readonly idleMs: number;
  /** The GPU that the stream's frames come from. */
  readonly whereNow: () => number | undefined;
}

/** How often it is looked whether sound has come, at least. */
const LOOK_EVERY_MS = 1000;

/** A stream's place on a GPU: held while sound comes, given back in a long silence, taken again with the next sound. */
export class HeldPlace {
  readonly #tools: HeldPlaceTools;
  #watch: NodeJS.Timeout | undefined;
  /** Undefined while the stream is idle, and when it has ended. */
  #place: StreamPlace | undefined;
  #isBusy = false;
  #lastSoundAtMs = performance.now();
  #isOver = false;

  constructor(tools: HeldPlaceTools) {
    this.#tools = tools;
    this.#place = tools.place;
  }

  /** Keeps the place from now on; one that is never kept expires by itself. Ends with `leave`. */
  keep(): void {
    const { idleMs, whereNow } = this.#tools;
    this.#place?.keep(whereNow);
    this.#watch = setInterval(() => this.#leaveWhenIdle(), Math.min(idleMs, LOOK_EVERY_MS));
  }

  get isHeld(): boolean {
    return this.#place !== undefined;
  }

  /** Does `work` with sound that has come, with a place; the stream is not idle meanwhile, however long that takes. */
  async during(work: () => Promise<void>): Promise<void> {
    this.#isBusy = true;
    try {
      await this.#take();
      await work();
    } finally {
      this.#isBusy = false;
      this.#lastSoundAtMs = performance.now();
    }
  }

  /** No more sound will come: the place is kept until it is left. */
  keepToTheEnd(): void {
    clearInterval(this.#watch);
  }

  /** Gives the place back for good. */
  leave(): void {
    this.#isOver = true;
    clearInterval(this.#watch);
    this.#place?.leave();
    this.#place = undefined;
  }

  async #take(): Promise<void> {
    if (this.#place || this.#isOver) return;
    const place = await this.#tools.admit();
    if (this.#isOver) {
      place.leave();
      return;
    }
    this.#place = place;
    place.keep(this.#tools.whereNow);
  }

  #leaveWhenIdle(): void {
    if (this.#isBusy || performance.now() - this.#lastSoundAtMs <= this.#tools.idleMs) return;
    this.#place?.leave();
    this.#place = undefined;
  }
}
