import { FarmError } from '../../shared/errors/farm-error.ts';
import { ignored } from '../../shared/process/unheard.ts';
import type { HeldMemory } from '../pipeline/contract.ts';
import type {
  FinishTimings,
  FrameOutput,
  FrameParts,
  FromCompositor,
  LiveEnd,
  ToCompositor,
} from './compositor-protocol.ts';

/** Memory that is held for a frame. */
export type Held = Pick<HeldMemory, 'release'>;

/** A frame with the memory that its parts lie in: held until the compositor has read them. */
export interface HeldFrame extends FrameParts {
  readonly memories: readonly Held[];
}

/** The pipeline thread's end of the line to the compositor thread. */
export class FrameLine {
  readonly #send: (message: ToCompositor) => void;
  /** Memory that the compositor reads, by the id of the frame. */
  readonly #held = new Map<number, readonly Held[]>();
  readonly #outputs = new Map<number, OpenOutput>();
  #lastFrameId = 0;

  constructor(send: (message: ToCompositor) => void) {
    this.#send = send;
  }

  /** Where the frames of a task go from now on, until it is closed or abandoned. */
  open(taskId: number, output: FrameOutput): OpenOutput {
    const opened = new OpenOutput(taskId, this.#send, ({ memories, ...frame }) => {
      const frameId = ++this.#lastFrameId;
      this.#held.set(frameId, memories);
      this.#send({ type: 'frame', taskId, frameId, frame });
    });
    this.#outputs.set(taskId, opened);
    this.#send({ type: 'open', taskId, output });
    return opened;
  }

  /** Takes what the compositor sends. */
  receive(message: FromCompositor): void {
    switch (message.type) {
      case 'used':
        for (const memory of this.#held.get(message.frameId) ?? []) memory.release();
        this.#held.delete(message.frameId);
        break;
      case 'broken':
        this.#outputs.get(message.taskId)?.break(FarmError.fromReport(message.error));
        break;
      case 'closed':
        this.#outputs.get(message.taskId)?.settle(message);
        this.#outputs.delete(message.taskId);
    }
  }

  /** Tells the compositor thread to end. */
  end(): void {
    this.#send({ type: 'end' });
  }
}

/** Where the frames of one task go. */
export class OpenOutput {
  readonly #taskId: number;
  readonly #send: (message: ToCompositor) => void;
  readonly #write: (frame: HeldFrame) => void;
  readonly #broken = new AbortController();
  /** Settles when the frames that were not complete yet are sent. */
  #onTheWay: Promise<void> | undefined;
  readonly #closed = Promise.withResolvers<FinishTimings>();

  constructor(taskId: number, send: (message: ToCompositor) => void, write: (frame: HeldFrame) => void) {
    this.#taskId = taskId;
    this.#send = send;
    this.#write = write;
    this.#closed.promise.catch(ignored('close reports it, and so did the signal'));
  }

  /** Aborted, with the reason, when frames cannot be written. */
  get broken(): AbortSignal {
    return this.#broken.signal;
  }

  /**
   * Takes a frame, and its hold of the memory. Frames are written in this order; those after one that fails are dropped.
   */
  write(frame: HeldFrame | Promise<HeldFrame>): void {
    if (frame instanceof Promise || this.#onTheWay) this.#onTheWay = this.#writeAfter(this.#onTheWay, frame);
    else this.#writeOrDrop(frame);
  }

  /** Resolves when all frames so far are complete and sent. @throws what `broken` was aborted with. */
  async whenSent(): Promise<void> {
    await this.#onTheWay;
    this.broken.throwIfAborted();
  }

  /**
   * There are no more frames, and all are sent. Resolves when they are written.
   * @param end what the compositor tells the main thread then, or the failure in its place.
   * @throws FarmError for frames that cannot be written.
   */
  async close(end?: LiveEnd): Promise<FinishTimings> {
    this.#send({ type: 'close', taskId: this.#taskId, end });
    return await this.#closed.promise;
  }

  /** Gives the frames up. Resolves when nothing of them goes on. */
  async abandon(): Promise<void> {
    await this.#onTheWay;
    this.#send({ type: 'abandon', taskId: this.#taskId });
    await this.#closed.promise.catch(ignored('what is given up may fail'));
  }

  break(error: FarmError): void {
    this.#broken.abort(error);
  }

  /** Ends when both are over, whatever fails: nothing of this output may be sent after it is abandoned. */
  async #writeAfter(before: Promise<void> | undefined, frame: HeldFrame | Promise<HeldFrame>): Promise<void> {
    const [completed] = await Promise.allSettled([frame, before]);
    if (completed.status === 'fulfilled') this.#writeOrDrop(completed.value);
    else this.break(FarmError.from(completed.reason));
  }

  #writeOrDrop(frame: HeldFrame): void {
    if (this.broken.aborted) for (const memory of frame.memories) memory.release();
    else this.#write(frame);
  }

  settle({ timings, error }: Extract<FromCompositor, { type: 'closed' }>): void {
    if (error) this.#closed.reject(FarmError.fromReport(error));
    else this.#closed.resolve(timings);
  }
}
