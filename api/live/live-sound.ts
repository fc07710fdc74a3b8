import { frameCount, samplesPerFrame } from '../../shared/sound/frame-rate.ts';
import { type IdleFrames, type IdleState, NOT_IDLE, passIdle } from '../../shared/sound/idle-track.ts';
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
  /** How much of an idle clip each of them shows; absent: nothing. */
  readonly idle?: IdleFrames;
}

/** Decides where a sound is silent, and how long silence lasts until an idle clip is shown; absent: there is none. */
export interface SilenceWatch {
  readonly gate: SilenceGate;
  readonly idleAfterFrames?: number | undefined;
}

const SOME_SILENCE = new RegExp(`[^${WHOLE_VOICE}]`);
const SOME_IDLE = /[^0]/;

/** The sound of a live stream: takes pieces at any rate, and keeps the samples at 16 kHz that later frames need. */
export class LiveSound {
  readonly #context: FrameContext;
  readonly #sampleRateHz: number;
  readonly #gate: SilenceGate | undefined;
  readonly #idleAfterFrames: number | undefined;
  /** Before the first frame that is not forgotten. */
  #idle: IdleState & { readonly frame: number } = { ...NOT_IDLE, frame: 0 };
  #resampler: Resampler | undefined;
  #held = new Float32Array();
  #firstHeld = 0;
  #ended = false;

  /** @param watch decides where the sound is silent; absent: nobody asks. */
  constructor(sampleRateHz: number, context: FrameContext, watch?: SilenceWatch) {
    this.#gate = watch?.gate;
    this.#idleAfterFrames = watch?.idleAfterFrames;
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
    const idle = voices === undefined ? undefined : this.#idleOf(voices, start);
    const piece = { samples, firstSample, totalSamples };
    // Most frames hear a voice, and most workers need not know of gates.
    if (voices === undefined || (!idle && !SOME_SILENCE.test(voices))) return piece;
    return { ...piece, voices, ...(idle ? { idle } : {}) };
  }

  /** Drops the samples that only frames before `frameIndex` needed. */
  forgetBefore(frameIndex: number): void {
    const first = this.#firstNeeded(frameIndex);
    this.#held = this.#held.slice(first - this.#firstHeld);
    this.#firstHeld = first;
    this.#idle = { ...this.#idleBefore(frameIndex), frame: frameIndex };
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

  /** @param voices of frames from `start` on. */
  #idleOf(voices: string, start: number): IdleFrames | undefined {
    if (this.#idleAfterFrames === undefined) return undefined;
    const { frames } = passIdle(this.#idleBefore(start), voices, this.#idleAfterFrames);
    return SOME_IDLE.test(frames.amounts) ? frames : undefined;
  }

  /** Before frame `frame`, which is not forgotten. Frames that are left out count as others do. */
  #idleBefore(frame: number): IdleState {
    if (this.#idleAfterFrames === undefined || !this.#gate) return NOT_IDLE;
    const voices = this.#gate.voices(this.#idle.frame, frame);
    return passIdle(this.#idle, voices, this.#idleAfterFrames).after;
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
