import { type FrameRate, frameMs, samplesPerFrame, USUAL_FRAME_RATE } from './frame-rate.ts';

/**
 * The voice-activity gate: in which frames of a sound there is a voice, by energy with hysteresis, and how much of its
 * mouth each frame shows. docs/silence.md defines it for users. It follows from the sound alone, in whatever pieces that
 * comes, and a frame depends on the lead after it and on nothing later, so a stream decides as a render does.
 */

/** When a sound counts as a voice, and how long around it the mouth is the network's. */
export interface GateSettings {
  /** Level in dB of full scale at or above which a frame begins a voice. */
  readonly openDbfs: number;
  /** Level below which a frame ends it; at most `openDbfs`. */
  readonly closeDbfs: number;
  /** How long after a voice the mouth is still the network's alone; rounded to whole frames. */
  readonly holdMs: number;
  /** How long before a voice the network's mouth is seen, the fade included; likewise. */
  readonly leadMs: number;
}

/** A weight of the network's mouth: all of it. 0 is a mouth of silence. */
export const WHOLE_VOICE = 4;
/** Of weights as they travel: a digit a frame. */
export const VOICES = /^[0-4]*$/;

/** The weights of frames that follow each other. */
export class VoiceTrack {
  readonly #digits: string;
  readonly #firstFrame: number;

  /** @param digits as `voices` gives them, from frame `firstFrame` on. */
  constructor(digits: string, firstFrame = 0) {
    this.#digits = digits;
    this.#firstFrame = firstFrame;
  }

  /** RangeError for a frame that is none of them. */
  at(frame: number): number {
    const digit = this.#digits[frame - this.#firstFrame];
    if (digit === undefined) throw new RangeError(`the voice of frame ${frame} is not known`);
    return Number(digit);
  }

  /** Whether none of these frames hears anything of a voice. */
  isSilent({ start, end }: { readonly start: number; readonly end: number }): boolean {
    for (let frame = start; frame < end; frame++) if (this.at(frame) > 0) return false;
    return true;
  }
}

/** Takes a sound of 16 kHz in pieces of any length. */
export class SilenceGate {
  readonly #holdFrames: number;
  readonly #leadFrames: number;
  readonly #frameSamples: number;
  readonly #open: number;
  readonly #close: number;
  /** Of each frame from `#firstHeld` on, whether there is a voice. */
  #speaks: boolean[] = [];
  #firstHeld = 0;
  /** Frames from the last voice before `#firstHeld` to there. */
  #sinceVoice = Number.POSITIVE_INFINITY;
  #ended = false;
  /** Of the frame that is not complete yet. */
  #samples = 0;
  #sum = 0;
  #squares = 0;

  constructor({ openDbfs, closeDbfs, holdMs, leadMs }: GateSettings, frameRate: FrameRate = USUAL_FRAME_RATE) {
    this.#holdFrames = Math.round(holdMs / frameMs(frameRate));
    this.#leadFrames = Math.round(leadMs / frameMs(frameRate));
    this.#frameSamples = samplesPerFrame(frameRate);
    this.#open = meanSquareOf(openDbfs);
    this.#close = meanSquareOf(closeDbfs);
  }

  push(samples: Float32Array): void {
    for (let at = 0; at < samples.length; ) {
      const piece = samples.subarray(at, at + this.#frameSamples - this.#samples);
      this.#add(piece);
      at += piece.length;
      if (this.#samples === this.#frameSamples) this.#decide();
    }
  }

  /** No more sound comes: after it is silence. */
  end(): void {
    if (this.#samples > 0) this.#decide();
    this.#ended = true;
  }

  /** Frames, from 0, whose weights no later sound can change. */
  get decidedFrames(): number {
    const complete = this.#firstHeld + this.#speaks.length;
    return this.#ended ? complete : Math.max(0, complete - this.#leadFrames);
  }

  /**
   * Weights of frames [start, end), a digit each: 0, a mouth of silence, to `WHOLE_VOICE`, the network's mouth. What has
   * not come counts as silence. The frames must not be forgotten.
   */
  voices(start: number, end: number): string {
    let digits = '';
    for (let frame = start; frame < end; frame++) digits += this.#voiceAt(frame);
    return digits;
  }

  /** Drops the sound from the beginning of frame `frame` on, which is not forgotten; what comes next takes its place. */
  cutAt(frame: number): void {
    this.#speaks.length = Math.min(this.#speaks.length, frame - this.#firstHeld);
    this.#beginFrame();
  }

  /** Frames before `frame` are not asked for any more. */
  forgetBefore(frame: number): void {
    for (const speaks of this.#speaks.splice(0, Math.max(0, frame - this.#firstHeld))) {
      this.#sinceVoice = speaks ? 1 : this.#sinceVoice + 1;
      this.#firstHeld += 1;
    }
  }

  #voiceAt(frame: number): number {
    if (this.#speaks[frame - this.#firstHeld]) return WHOLE_VOICE;
    const falls = this.#holdFrames + WHOLE_VOICE - this.#framesSince(frame);
    const rises = this.#leadFrames + 1 - this.#framesUntil(frame);
    return Math.min(Math.max(falls, rises, 0), WHOLE_VOICE);
  }

  /** From the last voice, as far as that matters. */
  #framesSince(frame: number): number {
    const place = frame - this.#firstHeld;
    for (let back = 1; back <= Math.min(place, this.#holdFrames + WHOLE_VOICE); back++) {
      if (this.#speaks[place - back]) return back;
    }
    return this.#sinceVoice + place;
  }

  /** To the next voice, as far as that matters. */
  #framesUntil(frame: number): number {
    const place = frame - this.#firstHeld;
    for (let ahead = 1; ahead <= this.#leadFrames; ahead++) {
      if (this.#speaks[place + ahead]) return ahead;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Sample after sample, so that the sums do not depend on the pieces. */
  #add(samples: Float32Array): void {
    let [sum, squares] = [this.#sum, this.#squares];
    for (const sample of samples) {
      sum += sample;
      squares += sample * sample;
    }
    [this.#sum, this.#squares] = [sum, squares];
    this.#samples += samples.length;
  }

  #decide(): void {
    const mean = this.#sum / this.#samples;
    const power = this.#squares / this.#samples - mean * mean;
    const spoke = this.#speaks.at(-1) ?? this.#sinceVoice === 1;
    this.#speaks.push(power >= (spoke ? this.#close : this.#open));
    this.#beginFrame();
  }

  #beginFrame(): void {
    this.#samples = 0;
    this.#sum = 0;
    this.#squares = 0;
  }
}

/** 0 dB is a mean square of 1: a square wave at full scale, or 3 dB more than a sine. */
function meanSquareOf(dbfs: number): number {
  return 10 ** (dbfs / 10);
}
