/** A stretch of sound that plays without a break. */
interface Stretch {
  /** Its place in the sound, in ms from the beginning of the stream. */
  readonly positionMs: number;
  /** When it begins to play, on the clock of `performance.now()`. */
  readonly startsAtMs: number;
}

/**
 * When each moment of a stream's sound is heard, if the sound is played as it comes: a piece begins when it arrives, or
 * right after the one before it when that is still playing.
 */
export class PlayClock {
  #stretches: Stretch[];
  #positionMs = 0;
  #untilMs: number;

  constructor(nowMs: number) {
    this.#stretches = [{ positionMs: 0, startsAtMs: nowMs }];
    this.#untilMs = nowMs;
  }

  /** When the sound that came will have run out. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** Sound of this length arrives now. */
  arrive(lengthMs: number, nowMs: number): void {
    if (nowMs > this.#untilMs) {
      this.#stretches.push({ positionMs: this.#positionMs, startsAtMs: nowMs });
      this.#untilMs = nowMs;
    }
    this.continueFor(lengthMs);
  }

  /** Sound of this length follows what came before without a break, also when its time has passed. */
  continueFor(lengthMs: number): void {
    this.#positionMs += lengthMs;
    this.#untilMs += lengthMs;
  }

  /** What came and lies after `positionMs` is never heard: what comes next follows that, and begins now at the earliest. */
  cutAt(positionMs: number, nowMs: number): void {
    this.#stretches = [{ positionMs, startsAtMs: nowMs }];
    this.#positionMs = positionMs;
    this.#untilMs = nowMs;
  }

  /** When the moment `positionMs` of the sound is heard. Ask in ascending order: what lies before is forgotten. */
  heardAtMs(positionMs: number): number {
    while ((this.#stretches[1]?.positionMs ?? Number.POSITIVE_INFINITY) <= positionMs) this.#stretches.shift();
    const [stretch] = this.#stretches as [Stretch];
    return stretch.startsAtMs + positionMs - stretch.positionMs;
  }
}
