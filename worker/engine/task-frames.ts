import type { FrameOutput, FrameParts, LiveEnd } from './compositor-protocol.ts';
import { FinishClock } from './finish-clock.ts';
import type { FrameToPaint } from './frame-painter.ts';

/** The frames of one task on their way through the compositor thread: those that wait, and what ends them. */
export class TaskFrames {
  readonly taskId: number;
  readonly output: FrameOutput;
  readonly clock = new FinishClock();
  readonly #waiting: FrameToPaint[] = [];
  readonly #givenUp = new AbortController();
  readonly #over = Promise.withResolvers<void>();
  #isOver = false;
  /** Settles when a frame has come, or the last one has. */
  #moved = Promise.withResolvers<void>();
  #end: LiveEnd | undefined;

  constructor(taskId: number, output: FrameOutput) {
    this.taskId = taskId;
    this.output = output;
  }

  /** Aborted when the frames are given up. */
  get signal(): AbortSignal {
    return this.#givenUp.signal;
  }

  /** Whether the pipeline thread is done with the task. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** What the main thread is told when all frames are written. */
  get end(): LiveEnd | undefined {
    return this.#end;
  }

  add(frame: FrameParts, release: () => void): void {
    if (this.signal.aborted) release();
    else this.#waiting.push({ ...frame, release, clock: this.clock });
    this.#move();
  }

  /** The pipeline thread is done with the task. */
  close(end?: LiveEnd): void {
    this.#end = end;
    this.#isOver = true;
    this.#over.resolve();
    this.#move();
  }

  /** Drops the frames that wait and those that are still to come. */
  giveUp(reason: unknown): void {
    this.#givenUp.abort(reason);
    for (const { release } of this.#waiting.splice(0)) release();
    this.#move();
  }

  /** Resolves when the pipeline thread is done with the task. */
  async whenOver(): Promise<void> {
    await this.#over.promise;
  }

  /** The next frame, undefined after the last. @throws the reason for which the frames were given up. */
  async next(): Promise<FrameToPaint | undefined> {
    while (true) {
      this.signal.throwIfAborted();
      const frame = this.#waiting.shift();
      if (frame || this.#isOver) return frame;
      await this.#moved.promise;
    }
  }

  #move(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }
}
