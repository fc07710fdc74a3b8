import { type FrameRate, frameMs } from './frame-rate.ts';

/**
 * Where an idle clip is seen: which moment of it each frame shows, and how much of it. That follows from what a silence
 * gate says of the frames so far (silence-gate.ts) and of nothing later, so a stream decides as a render does.
 */

/** How much of an idle clip a frame shows: all. 0 is nothing of it. */
export const IDLE_WHOLE = 4;
/** Of amounts as they travel: a digit a frame. */
export const IDLE_AMOUNTS = /^[0-4]*$/;

export interface IdleMoment {
  /** Frames of the video since the clip began. */
  readonly place: number;
  /** How much is seen of it, 1 … `IDLE_WHOLE`. */
  readonly amount: number;
}

/** Frames that follow each other, as they travel. */
export interface IdleFrames {
  /** How much of the clip each shows, a digit each. */
  readonly amounts: string;
  /** `IdleMoment.place` of the first frame; 0 where nothing of the clip is seen in it. */
  readonly place: number;
}

/** Between two frames. */
export interface IdleState {
  /** Frames in silence up to here. */
  readonly rest: number;
  /** Of the last frame, as in `IdleMoment`. */
  readonly amount: number;
  readonly place: number;
}

/** Before the first frame. */
export const NOT_IDLE: IdleState = { rest: 0, amount: 0, place: 0 };

/** Silence in frames after which the clip begins. */
export function idleAfterFrames(afterMs: number, frameRate?: FrameRate): number {
  return Math.round(afterMs / frameMs(frameRate));
}

/**
 * Goes over frames. The clip fades in from the frame on in which silence has lasted for `afterFrames`, and out from the
 * first frame on that hears something of a voice; it begins anew each time.
 * @param voices of the frames, as the gate gives them.
 */
export function passIdle(
  before: IdleState,
  voices: string,
  afterFrames: number,
): { readonly frames: IdleFrames; readonly after: IdleState } {
  let state = before;
  let amounts = '';
  let first: number | undefined;
  for (const voice of voices) {
    const rest = voice === '0' ? state.rest + 1 : 0;
    const step = rest > afterFrames ? 1 : -1;
    const amount = Math.min(Math.max(state.amount + step, 0), IDLE_WHOLE);
    state = { rest, amount, place: state.amount > 0 && amount > 0 ? state.place + 1 : 0 };
    first ??= state.place;
    amounts += amount;
  }
  return { frames: { amounts, place: first ?? 0 }, after: state };
}

/** What is left of frames without the first `count`. */
export function idleFrom(frames: IdleFrames, count: number): IdleFrames {
  const amounts = frames.amounts.slice(count);
  return { amounts, place: amounts === '' ? 0 : (new IdleTrack(frames).at(count)?.place ?? 0) };
}

/** The moments of frames that follow each other. */
export class IdleTrack {
  readonly #amounts: string;
  readonly #firstFrame: number;
  /** Of each frame. */
  readonly #places: Uint32Array;

  /** @param firstFrame the frame that `amounts` begins with. */
  constructor({ amounts, place }: IdleFrames, firstFrame = 0) {
    this.#amounts = amounts;
    this.#firstFrame = firstFrame;
    this.#places = new Uint32Array(amounts.length);
    for (let at = 0, next = place; at < amounts.length; at++) {
      this.#places[at] = next;
      next = amounts[at] === '0' ? 0 : next + 1;
    }
  }

  /** Undefined for a frame that shows nothing of the clip. RangeError for one that is none of these. */
  at(frame: number): IdleMoment | undefined {
    const at = frame - this.#firstFrame;
    const place = this.#places[at];
    if (place === undefined) throw new RangeError(`whether frame ${frame} is idle is not known`);
    const amount = Number(this.#amounts[at]);
    return amount === 0 ? undefined : { place, amount };
  }
}
