import type { ErrorReport } from '../../shared/errors.ts';
import type { LiveJob } from '../../shared/jobs.ts';
import type { FinishedFrame, FrameWriter, LiveSummary } from '../../shared/live/frames.ts';
import type { LiveFrame } from '../engine/pipeline-thread.ts';

/** Bytes that a request with one answer collects before it writes: each write costs work in the front end. */
const GROUP_BYTES = 128 * 1024;

/**
 * Writes the frames of a live request to its channel in order, without waiting for the write before.
 * Frames of a stream are written one by one, as soon as each is there. The client of a unary request needs all its
 * frames at once, so these are written in groups.
 */
export class FramePublisher {
  readonly #writer: FrameWriter;
  readonly #onFault: (fault: unknown) => void;
  readonly #groupBytes: number;
  readonly #answers: Promise<void>[] = [];
  /** Not yet written. */
  #held: FinishedFrame[] = [];
  #heldBytes = 0;

  /** @param onFault called once a write was refused: further work would be in vain. */
  constructor(writer: FrameWriter, job: LiveJob, onFault: (fault: unknown) => void) {
    this.#writer = writer;
    this.#onFault = onFault;
    this.#groupBytes = job.streamId === undefined ? GROUP_BYTES : 0;
  }

  frame({ frameIndex, data, giveBack }: LiveFrame): void {
    this.#held.push({ frameIndex, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength), giveBack });
    this.#heldBytes += data.length;
    if (this.#heldBytes < this.#groupBytes) return;
    this.#note(this.#writer.frames(this.#held));
    this.#held = [];
    this.#heldBytes = 0;
  }

  /** Resolves when all frames and the summary are in the channel; the channel keeps them in the order of sending. */
  async done(summary: LiveSummary): Promise<void> {
    await Promise.all([...this.#answers.splice(0), this.#writer.done(summary, this.#held)]);
  }

  async failed(error: ErrorReport): Promise<void> {
    await this.#writer.failed(error);
  }

  /** Resolves when no frame is being written any more. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#answers);
  }

  #note(answer: Promise<void>): void {
    answer.catch(this.#onFault);
    this.#answers.push(answer);
  }
}
