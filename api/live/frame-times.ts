import { frameMs } from '../../shared/sound/frame-rate.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { type FrameContext, samplesUntilReady } from './audio-context.ts';
import { PlayClock } from './play-clock.ts';

/** When the sound of a stream's frames came, and when it is heard. All times are those of `performance.now()`. */
export class FrameTimes {
  readonly #sampleRateHz: number;
  readonly #context: FrameContext;
  readonly #playClock = new PlayClock(performance.now());
  /** When the sound of each frame was complete, for frames that were not handed out yet. */
  #completions: { readonly frames: number; readonly atMs: number }[] = [];

  constructor(sampleRateHz: number, context: FrameContext) {
    this.#sampleRateHz = sampleRateHz;
    this.#context = context;
  }

  /** When the sound that came will have run out, if it is played as it comes. */
  get soundUntilMs(): number {
    return this.#playClock.untilMs;
  }

  /** @param filled the samples are silence, inserted for a time that has passed already. */
  soundCame(sampleCount: number, filled: boolean): void {
    const lengthMs = (1000 * sampleCount) / this.#sampleRateHz;
    if (filled) this.#playClock.continueFor(lengthMs);
    else this.#playClock.arrive(lengthMs, performance.now());
  }

  /** The sound of the first `frames` frames is complete now, unless it was before. */
  framesReady(frames: number): void {
    if (frames > (this.#completions.at(-1)?.frames ?? 0)) this.#completions.push({ frames, atMs: performance.now() });
  }

  /** The sound from the beginning of frame `frameIndex` on was dropped. */
  cutAt(frameIndex: number): void {
    this.#playClock.cutAt(frameIndex * frameMs(this.#context.frameRate), performance.now());
    this.#completions = this.#completions.filter(({ frames }) => frames <= frameIndex);
  }

  /** How long ago the sound of a frame was complete. Ask about frames in their order. */
  sinceReadyMs(frameIndex: number): number {
    const nowMs = performance.now();
    while ((this.#completions[0]?.frames ?? Number.POSITIVE_INFINITY) <= frameIndex) this.#completions.shift();
    return nowMs - (this.#completions[0]?.atMs ?? nowMs);
  }

  /**
   * How long ago the sound that a frame waits for was heard, if it was played as it came; negative while it is not.
   * Ask about frames in their order.
   */
  latenessMs(frameIndex: number): number {
    const neededMs = (1000 * samplesUntilReady(frameIndex, this.#context)) / SAMPLE_RATE_HZ;
    return performance.now() - this.#playClock.heardAtMs(neededMs);
  }
}
