import { randomBytes, timingSafeEqual } from 'node:crypto';
import { unexpected } from '../../process/unheard.ts';
import type { ChannelEntry, FinishedFrame, FrameReader } from '../frames.ts';
import type { LivePayload } from '../live-payload.ts';
import { WrongMessage } from './message-reader.ts';
import { LAST, type Open, type Refusal, WINDOW_BYTES } from './wire.ts';

/** The worker is told what was read when it is a quarter of what it may send ahead. */
const TELL_BYTES = WINDOW_BYTES / 4;
const TOKEN_BYTES = 24;

/** The run that writes into an inbox, as its connection shows it. */
export interface Sender {
  /** Tells the worker that all before `frame` has been read, or with LAST that everything has come. */
  read(frame: number): void;
  /** Tells the worker that the run is of no use any more. */
  refuse(why: Refusal): void;
}

/** A run that has ended without an answer. */
interface Loss {
  readonly atMs: number;
  /** The worker said so itself: it does not come again. */
  readonly isFinal: boolean;
}

/** The front end's end of a direct frame channel: what came for one request, until it is read. */
export class DirectInbox implements FrameReader {
  readonly requestId: string;
  readonly payload: LivePayload;
  /** Whoever knows it may fetch the payload and send frames. */
  readonly token = randomBytes(TOKEN_BYTES).toString('base64url');
  readonly #entries: ChannelEntry[] = [];
  /** Of the entries that were handed out last. */
  #handedOut = { bytes: 0, end: 0 };
  #untoldBytes = 0;
  /** Frames that came and are not read yet, as far as the worker knows. */
  #unreadBytes = 0;
  #attempt = 0;
  #pickup = 0;
  #sender: Sender | undefined;
  #nextFrame: number;
  #takenAtMs: number | undefined;
  #loss: Loss | undefined;
  #ended = false;
  #closed = false;
  #changed = Promise.withResolvers<void>();

  constructor(requestId: string, payload: LivePayload, firstFrame: number) {
    this.requestId = requestId;
    this.payload = payload;
    this.#nextFrame = firstFrame;
  }

  /** True while a worker is connected for this request. */
  get isConnected(): boolean {
    return this.#sender !== undefined;
  }

  /** When the first worker of this attempt connected, by performance.now(). */
  get takenAtMs(): number | undefined {
    return this.#takenAtMs;
  }

  /** True when there is something to read. */
  get hasEntries(): boolean {
    return this.#entries.length > 0;
  }

  /** From now on only runs of this attempt are taken; what an earlier one has sent and was not read is dropped. */
  begin(attempt: number, nextFrame: number): void {
    this.#attempt = attempt;
    this.#pickup = 0;
    this.#nextFrame = nextFrame;
    this.#ended = false;
    this.#takenAtMs = undefined;
    this.#entries.length = 0;
    this.#fenceOut();
  }

  /** The job was offered to a worker: its run may begin. The first frame that is missing. */
  offered(sender: Sender): number {
    this.#letIn(sender, 1);
    return this.#nextFrame;
  }

  /** The worker takes the job that it was offered. */
  take(sender: Sender, gpuId: number): void {
    if (sender === this.#sender) this.#noteTaken(gpuId);
  }

  /** Whether the worker that the job was offered takes it; one that does not say so in time is fenced out. */
  async isTaken(withinMs: number): Promise<boolean> {
    const untilMs = performance.now() + withinMs;
    for (let leftMs = withinMs; leftMs > 0; leftMs = untilMs - performance.now()) {
      if (this.#takenAtMs !== undefined) return true;
      if (!this.#sender) return false;
      await this.#change(leftMs);
    }
    this.#fenceOut();
    return false;
  }

  /** Whether the run has ended without an answer, and does not come again within `graceMs` after that. */
  isLost(graceMs: number): boolean {
    if (this.#sender || !this.#loss || this.hasEntries) return false;
    return this.#loss.isFinal || performance.now() - this.#loss.atMs > graceMs;
  }

  isToken(token: string): boolean {
    const [held, given] = [Buffer.from(this.token), Buffer.from(token)];
    return held.length === given.length && timingSafeEqual(held, given);
  }

  /** Lets a run in that shows the token: the first frame that is missing, or why it is refused. */
  accept({ attempt, pickup, gpuId }: Open, sender: Sender): { firstFrame: number } | { refused: Refusal } {
    if (this.#closed) return { refused: 'gone' };
    if (attempt !== this.#attempt || pickup < this.#pickup) return { refused: 'fenced' };
    if (this.#ended) return { refused: 'over' };
    this.#letIn(sender, pickup);
    this.#noteTaken(gpuId);
    return { firstFrame: this.#nextFrame };
  }

  /** Throws WrongMessage when the worker sends on although nobody reads. Call it when a frame begins to come. */
  announce(sender: Sender, bytes: number): void {
    if (sender !== this.#sender) return;
    if (this.#unreadBytes >= WINDOW_BYTES) throw new WrongMessage('More frames than are read');
    this.#unreadBytes += bytes;
  }

  /** A frame has come. One that came before, on a connection that broke, is dropped. */
  frame(sender: Sender, { frameIndex, data }: FinishedFrame): void {
    if (sender !== this.#sender || frameIndex < this.#nextFrame) return;
    this.#nextFrame = frameIndex + 1;
    this.#add({ type: 'frame', frameIndex, data });
  }

  /** The run has ended with an answer. */
  end(sender: Sender, entry: Extract<ChannelEntry, { type: 'done' | 'failed' }>): void {
    if (sender !== this.#sender) return;
    this.#ended = true;
    this.#sender = undefined;
    sender.read(LAST);
    this.#add(entry);
  }

  /** The run's connection is lost. @param isFinal the run itself has left. */
  lose(sender: Sender, isFinal: boolean): void {
    if (sender !== this.#sender) return;
    this.#sender = undefined;
    this.#loss = { atMs: performance.now(), isFinal };
    this.wake();
  }

  async next(waitMs: number): Promise<ChannelEntry[]> {
    this.#noteRead();
    if (this.#entries.length === 0) await this.#change(waitMs);
    const entries = this.#entries.splice(0);
    const frames = entries.filter((entry) => entry.type === 'frame');
    const bytes = frames.reduce((sum, { data }) => sum + data.length, 0);
    this.#handedOut = { bytes, end: (frames.at(-1)?.frameIndex ?? -1) + 1 };
    return entries;
  }

  /** Ends a wait of `next` early. */
  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  /** Nobody reads any more. */
  close(): void {
    this.#closed = true;
    this.#sender?.refuse('gone');
    this.#sender = undefined;
    this.#entries.length = 0;
    this.wake();
  }

  #letIn(sender: Sender, pickup: number): void {
    this.#sender?.refuse('fenced');
    this.#sender = sender;
    this.#pickup = pickup;
    this.#unreadBytes = 0;
    this.#untoldBytes = 0;
    this.#loss = undefined;
  }

  #noteTaken(gpuId: number): void {
    this.#takenAtMs ??= performance.now();
    this.#add({ type: 'taken', gpuId });
  }

  #fenceOut(): void {
    this.#sender?.refuse('fenced');
    this.#sender = undefined;
  }

  #add(entry: ChannelEntry): void {
    this.#entries.push(entry);
    this.wake();
  }

  #noteRead(): void {
    const { bytes, end } = this.#handedOut;
    this.#handedOut = { bytes: 0, end };
    this.#untoldBytes += bytes;
    if (this.#untoldBytes < TELL_BYTES) return;
    this.#unreadBytes -= this.#untoldBytes;
    this.#untoldBytes = 0;
    this.#sender?.read(end);
  }

  async #change(waitMs: number): Promise<void> {
    const timer = setTimeout(() => this.wake(), waitMs);
    await this.#changed.promise.catch(unexpected);
    clearTimeout(timer);
  }
}
