import type { Redis } from 'ioredis';
import type { ErrorReport } from '../../shared/errors.ts';
import type { LiveJob } from '../../shared/jobs.ts';
import { type FinishedFrame, FrameWriter, type LiveSummary } from '../../shared/live/frames.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { encodeJpeg } from '../media/jpeg.ts';
import type { RenderedFrame } from '../pipeline/render-frames.ts';

/** Bytes that a request with one answer collects before it writes: each write costs work in Redis and the front end. */
const GROUP_BYTES = 128 * 1024;

/**
 * Encodes the frames of a live request and writes them to its channel in order, without waiting for Redis to answer the
 * write before. Frames of a stream are written one by one, as soon as each is encoded. The client of a unary request
 * needs all its frames at once, so these are written in groups.
 */
export class FramePublisher {
  readonly #writer: FrameWriter;
  readonly #job: LiveJob;
  readonly #onFault: (fault: unknown) => void;
  readonly #onEncoded: (image: RenderedFrame['image']) => void;
  readonly #groupBytes: number;
  readonly #answers: Promise<void>[] = [];
  /** Encoded, and not yet written. */
  #held: FinishedFrame[] = [];
  #heldBytes = 0;
  /** Settles when all frames so far are encoded and sent. */
  #sent: Promise<void> = Promise.resolve();
  #encodeMs = 0;
  /** Frames that are being encoded now, and since when there are any. */
  #encoding = 0;
  #encodingSinceMs = 0;

  /**
   * @param onFault called once a write was refused or a frame could not be encoded: further work would be in vain.
   * @param onEncoded called with pixels that are no longer read here.
   */
  constructor(
    redis: Redis,
    job: LiveJob,
    onFault: (fault: unknown) => void,
    onEncoded: (image: RenderedFrame['image']) => void = () => {},
  ) {
    this.#writer = new FrameWriter(redis, job.requestId, job.attempt);
    this.#job = job;
    this.#onFault = onFault;
    this.#onEncoded = onEncoded;
    this.#groupBytes = job.streamId === undefined ? GROUP_BYTES : 0;
  }

  taken(gpuId: number): void {
    this.#note(this.#writer.taken(gpuId));
  }

  frame({ frameIndex, image }: RenderedFrame): void {
    const encoded = this.#encode(image);
    encoded.catch(ignored('the line that awaits it reports it'));
    this.#sent = this.#sent.then(async () => this.#hold({ frameIndex, data: await encoded }));
    this.#sent.catch(this.#onFault);
  }

  /** Resolves when all frames are encoded: the milliseconds during which any was being encoded. */
  async encoded(): Promise<number> {
    await this.#sent;
    return this.#encodeMs;
  }

  /** Resolves when all frames and the summary are in the channel; Redis keeps them in the order of sending. */
  async done(summary: LiveSummary): Promise<void> {
    await Promise.all([...this.#answers.splice(0), this.#writer.done(summary, this.#held)]);
  }

  async failed(error: ErrorReport): Promise<void> {
    await this.#sent.catch(ignored('a fault of these was reported by itself'));
    await this.#writer.failed(error);
  }

  /** Resolves when no frame is being encoded or written any more. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#sent, ...this.#answers]);
  }

  #hold(frame: FinishedFrame): void {
    this.#held.push(frame);
    this.#heldBytes += frame.data.length;
    if (this.#heldBytes < this.#groupBytes) return;
    this.#note(this.#writer.frames(this.#held));
    this.#held = [];
    this.#heldBytes = 0;
  }

  #note(answer: Promise<void>): void {
    answer.catch(this.#onFault);
    this.#answers.push(answer);
  }

  async #encode(image: RenderedFrame['image']): Promise<Buffer> {
    if (this.#job.output === 'raw') return Buffer.from(image.data.buffer, image.data.byteOffset, image.data.byteLength);
    if (this.#encoding++ === 0) this.#encodingSinceMs = performance.now();
    try {
      return await encodeJpeg(image, this.#job.jpegQuality);
    } finally {
      if (--this.#encoding === 0) this.#encodeMs += performance.now() - this.#encodingSinceMs;
      this.#onEncoded(image);
    }
  }
}
