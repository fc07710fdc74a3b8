import { frameCount, samplesPerFrame } from '../../shared/sound/frame-rate.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import { Resampler } from '../../shared/sound/resample.ts';
import { type SilenceGate, WHOLE_VOICE } from '../../shared/sound/silence-gate.ts';
import {
  type FrameContext,
  firstSampleNeeded,
  firstSampleNeededToEnd,
  readyFrames,
  samplesUntilReady,
} from './audio-context.ts';

/** The sound that a range of frames depends on, as a live job carries it. */
export interface SoundPiece {
  readonly samples: Float32Array;
  /** Place of the first sample in the whole sound. */
  readonly firstSample: number;
  /** Length of the whole sound, or place of the end of `samples` when the frames do not depend on what comes after. */
  readonly totalSamples: number;
  /** How much of a voice each of the frames hears, a digit each; absent: all of it. */
  readonly voices?: string;
}

const SOME_SILENCE = new RegExp(`[^${WHOLE_VOICE}]`);

/** The sound of a live stream: takes pieces at any rate, and keeps the samples at 16 kHz that later frames need. */
export class LiveSound {
  readonly #context: FrameContext;
  readonly #sampleRateHz: number;
  readonly #gate: SilenceGate | undefined;
  #resampler: Resampler | undefined;
  #held = new Float32Array();
  #firstHeld = 0;
  #ended = false;

  /** @param gate decides where the sound is silent; absent: nobody asks. */
  constructor(sampleRateHz: number, context: FrameContext, gate?: SilenceGate) {
    this.#gate = gate;
    this.#context = context;
    this.#sampleRateHz = sampleRateHz;
    this.#resampler = this.#newResampler();
  }

  /** Samples at 16 kHz so far. */
  get sampleCount(): number {
    return this.#firstHeld + this.#held.length;
  }

  /** Samples kept in memory. */
  get heldSamples(): number {
    return this.#held.length;
  }

  push(samples: Float32Array): void {
    this.#append(this.#resampler ? this.#resampler.push(samples) : samples);
  }

  /** No more sound comes. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#resampler) this.#append(this.#resampler.end());
    this.#gate?.end();
  }

  /** Number of frames, from 0, that can be rendered now: all once the sound has ended. 0 for an empty sound. */
  get readyFrames(): number {
    if (!this.#ended) {
      const decided = this.#gate?.decidedFrames ?? Number.POSITIVE_INFINITY;
      return Math.min(readyFrames(this.sampleCount, this.#context), decided);
    }
    return this.sampleCount === 0 ? 0 : frameCount(this.sampleCount, this.#context.frameRate);
  }

  /** Exactly the sound that frames [start, end) depend on. They must be ready, or the sound must have ended. */
  pieceFor(start: number, end: number): SoundPiece {
    const firstSample = this.#firstNeeded(start);
    const totalSamples = Math.min(this.sampleCount, samplesUntilReady(end - 1, this.#context));
    const samples = this.#held.slice(firstSample - this.#firstHeld, totalSamples - this.#firstHeld);
    const voices = this.#gate?.voices(start, end);
    // Most frames hear a voice, and most workers need not know of gates.
    return { samples, firstSample, totalSamples, ...(voices?.match(SOME_SILENCE) ? { voices } : {}) };
  }

  /** Drops the samples that only frames before `frameIndex` needed. */
  forgetBefore(frameIndex: number): void {
    const first = this.#firstNeeded(frameIndex);
    this.#held = this.#held.slice(first - this.#firstHeld);
    this.#firstHeld = first;
    this.#gate?.forgetBefore(frameIndex);
  }

  /**
   * Drops the sound from the beginning of frame `frameIndex` on; what comes next takes its place. The samples that this
   * frame needs must be there.
   */
  cutAt(frameIndex: number): void {
    this.#held = this.#held.slice(
      0,
      Math.max(0, frameIndex * samplesPerFrame(this.#context.frameRate) - this.#firstHeld),
    );
    this.#resampler = this.#newResampler();
    this.#gate?.cutAt(frameIndex);
  }

  #newResampler(): Resampler | undefined {
    return this.#sampleRateHz === SAMPLE_RATE_HZ ? undefined : new Resampler(this.#sampleRateHz);
  }

  /**
   * The end of the sound pulls the last windows back and is not known in advance, so the samples for that are kept,
   * too.
   */
  #firstNeeded(frameIndex: number): number {
    const toEnd = firstSampleNeededToEnd(frameIndex, this.sampleCount, this.#context);
    const needed = this.#ended ? toEnd : Math.min(firstSampleNeeded(frameIndex, this.#context), toEnd);
    return Math.max(this.#firstHeld, needed);
  }

  #append(samples: Float32Array): void {
    this.#gate?.push(samples);
    const held = new Float32Array(this.#held.length + samples.length);
    held.set(this.#held);
    held.set(samples, this.#held.length);
    this.#held = held;
  }
}
