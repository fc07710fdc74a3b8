import type { LiveFrame, LiveMessage } from './live-messages.ts';

/** Messages of a live session that came and were not read yet. */
export class LiveInbox {
  readonly #messages: LiveMessage[] = [];
  readonly #mostBytes: number;
  readonly #skips: boolean;
  #bytes = 0;

  /** @param skips leaves the oldest frames out when there are too many; the next one says how many. */
  constructor(mostBytes: number, skips: boolean) {
    this.#mostBytes = mostBytes;
    this.#skips = skips;
  }

  /** More frames than may wait are here: no more should be asked for. */
  get isFull(): boolean {
    return this.#bytes > this.#mostBytes;
  }

  /** Bytes of the frames that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  put(message: LiveMessage): void {
    this.#messages.push(message);
    if (message.type !== 'frame') return;
    this.#bytes += message.data.byteLength;
    while (this.#skips && this.isFull && this.#dropOldest());
  }

  take(): LiveMessage | undefined {
    const message = this.#messages.shift();
    if (message?.type === 'frame') this.#bytes -= message.data.byteLength;
    return message;
  }

  /** False when there is no frame behind the oldest one that could say that it is missing. */
  #dropOldest(): boolean {
    const oldest = this.#messages.findIndex(({ type }) => type === 'frame');
    const next = this.#messages.findIndex(({ type }, at) => type === 'frame' && at > oldest);
    if (next < 0) return false;
    const [dropped] = this.#messages.splice(oldest, 1) as [LiveFrame];
    const heir = this.#messages[next - 1] as LiveFrame;
    this.#messages[next - 1] = { ...heir, skipped: heir.skipped + dropped.skipped + 1 };
    this.#bytes -= dropped.data.byteLength;
    return true;
  }
}
