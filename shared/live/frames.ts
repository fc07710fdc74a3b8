import { z } from 'zod';
import type { ErrorReport } from '../errors/farm-error.ts';
import type { LivePayload } from './live-payload.ts';

/**
 * The frame channel: how a worker gets the payload of a live request, and how its finished frames get to the front end
 * that waits for them. Two adapters: `redis-channel.ts`, and `direct/`, a connection between the two processes. What
 * both promise: frames come in order and each once, a worker that was given up is fenced out, and what was written
 * before a break is not lost.
 */

/** How the work went, sent after the last frame. */
export const liveSummarySchema = z.object({
  gpuId: z.int().nonnegative(),
  modelWasLoaded: z.boolean(),
  modelLoadMs: z.number(),
  audioMs: z.number(),
  inferenceMs: z.number(),
  compositeMs: z.number(),
  /** Moments of the run by the worker's own clock, in ms; absent in older workers and when no frame was asked for. */
  moments: z
    .object({
      /** The payload was there. */
      openedMs: z.number(),
      /** The work was handed to the threads that compute, and their last frame came back. */
      threadsFromMs: z.number(),
      threadsToMs: z.number(),
      /** The summary was written. */
      doneMs: z.number(),
    })
    .optional(),
});
export type LiveSummary = z.infer<typeof liveSummarySchema>;

export type ChannelEntry =
  | { type: 'taken'; gpuId: number }
  | { type: 'frame'; frameIndex: number; data: Buffer }
  | { type: 'done'; summary: LiveSummary }
  | { type: 'failed'; error: ErrorReport };

/** A frame as it leaves the farm. */
export interface FinishedFrame {
  readonly frameIndex: number;
  readonly data: Buffer;
  /**
   * Called when the bytes have come and nothing reads them any more: their memory may be written again. Not called where
   * that is not certain, as after a failure.
   */
  readonly giveBack?: () => void;
}

/** One run of a live job on a worker, as its channel knows it. */
export interface ChannelRun {
  readonly requestId: string;
  /** Of the request, as the job says: a run of a lower one is fenced out. */
  readonly attempt: number;
  /** Which pickup of this job it is, from 1: it goes on where an earlier one has stopped. */
  readonly pickup: number;
  readonly gpuId: number;
  /** Frames [start, end) of the request. */
  readonly frames: { readonly start: number; readonly end: number };
}

/** What a worker finds that opens the channel of a request. */
export type Opened =
  /** `firstFrame`: what is before it was delivered by an earlier pickup. */
  | { readonly state: 'wanted'; readonly payload: LivePayload; readonly firstFrame: number }
  /** Nobody waits for it any more. */
  | { readonly state: 'gone' }
  /** It was answered, or a later attempt has taken over. */
  | { readonly state: 'over' };

/** A later attempt has taken over, or nobody waits any longer: frames that this attempt still makes are of no use. */
export class FencedOut extends Error {
  override readonly name = 'FencedOut';
}

/** The worker's end of a channel, for one run. Calls after `open` reject with FencedOut once a later run has begun. */
export interface FrameWriter {
  /** Fetches the payload, and tells the front end that a worker is at it. Call it first, and once. */
  open(): Promise<Opened>;
  /** Adds frames in order. Resolves when there is room for more; need not be awaited before the next call. */
  frames(frames: readonly FinishedFrame[]): Promise<void>;
  /** The last frames, if there are any left, and with them the summary. Resolves when they cannot be lost any more. */
  done(summary: LiveSummary, last: readonly FinishedFrame[]): Promise<void>;
  failed(error: ErrorReport): Promise<void>;
  /** Lets go of what the run holds; without `done` or `failed` before, another run may go on. */
  close(): void;
}

/** The front end's end of a channel. */
export interface FrameReader {
  /** Entries that come within `waitMs`, in order; empty when none did. What it has given counts as read at the next call. */
  next(waitMs: number): Promise<ChannelEntry[]>;
}
