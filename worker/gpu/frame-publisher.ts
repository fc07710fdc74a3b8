import type { ErrorReport } from '../../shared/errors/farm-error.ts';
import type { FrameWriter, LiveSummary } from '../../shared/live/frames.ts';
import type { LiveFrame } from '../engine/pipeline-thread.ts';

/** Writes the frames of a live request to its channel in order, without waiting for the write before. */
export class FramePublisher {
  readonly #writer: FrameWriter;
  readonly #onFault: (fault: unknown) => void;
  readonly #answers: Promise<void>[] = [];

  /** @param onFault called once a write was refused: further work would be in vain. */
  constructor(writer: FrameWriter, onFault: (fault: unknown) => void) {
    this.#writer = writer;
    this.#onFault = onFault;
  }

  frames(frames: readonly LiveFrame[]): void {
    const bytesOf = ({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>) =>
      Buffer.from(buffer, byteOffset, byteLength);
    this.#note(this.#writer.frames(frames.map((frame) => ({ ...frame, data: bytesOf(frame.data) }))));
  }

  /** Resolves when all frames and the summary are in the channel; the channel keeps them in the order of sending. */
  async done(summary: LiveSummary): Promise<void> {
    await Promise.all([...this.#answers.splice(0), this.#writer.done(summary, [])]);
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
