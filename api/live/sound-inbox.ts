import { FarmError } from '../../shared/errors/farm-error.ts';
import type { LiveStream } from './live-stream.ts';
import { PcmDecoder, type SampleFormat } from './pcm.ts';

/** Sound that may wait here, in bytes, beside what the stream holds: an interruption is heard in time when it is no more. */
const MOST_WAITING_BYTES = 2 ** 20;
/** A message may be as long as an hour of sound; it is decoded and handed over in pieces of about a second. */
const PIECE_BYTES = 64 * 1024;

/** The sound of a stream on its way from the client: the stream takes it at its own pace, an interruption drops it. */
export class SoundInbox {
  readonly #stream: Pick<LiveStream, 'write' | 'interrupt' | 'end'>;
  readonly #format: SampleFormat;
  readonly #signal: AbortSignal;
  #decoder: PcmDecoder;
  #pieces: Buffer[] = [];
  #waitingBytes = 0;
  #ended = false;
  #changed = Promise.withResolvers<void>();

  /** @param signal ends all waiting. */
  constructor(stream: Pick<LiveStream, 'write' | 'interrupt' | 'end'>, format: SampleFormat, signal: AbortSignal) {
    this.#stream = stream;
    this.#format = format;
    this.#signal = signal;
    this.#decoder = new PcmDecoder(format);
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  /**
   * Takes PCM; a sample may lie in two pieces. Resolves when there is room for more.
   * FarmError('request_invalid') after the end.
   */
  async push(audio: Buffer): Promise<void> {
    if (this.#ended) throw new FarmError('request_invalid', 'Sound came after the end of the stream');
    for (let start = 0; start < audio.length; start += PIECE_BYTES) {
      this.#pieces.push(audio.subarray(start, start + PIECE_BYTES));
    }
    this.#waitingBytes += audio.length;
    this.#wake();
    while (this.#waitingBytes > MOST_WAITING_BYTES && !this.#signal.aborted) await this.#changed.promise;
  }

  /** Drops the sound that waits here and in the stream. */
  interrupt(): void {
    this.#pieces = [];
    this.#waitingBytes = 0;
    this.#decoder = new PcmDecoder(this.#format);
    this.#stream.interrupt();
    this.#wake();
  }

  /** No more sound comes. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Hands the sound over to the stream until it ends. FarmError('request_invalid') for what is no sound. */
  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      const piece = this.#pieces.shift();
      if (piece) {
        this.#waitingBytes -= piece.length;
        this.#wake();
        const samples = this.#decoder.push(piece);
        if (samples.length > 0) await this.#stream.write(samples);
      } else if (this.#ended) {
        this.#decoder.end();
        this.#stream.end();
        return;
      } else await this.#changed.promise;
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
