import { constants, type ServerHttp2Stream } from 'node:http2';
import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { KB } from '../../shared/units.ts';
import { MemoryBudget, type MemoryShare } from '../memory-budget.ts';
import { isOpenToEverybody } from './auth.ts';
import { streamOf } from './inside-grpc.ts';
import { MessageLengths, type MessageStart } from './message-lengths.ts';
import { toStatus } from './status.ts';

/** An open call with nothing in it: what both sides may have under way, and its objects. */
const CALL_BYTES = 256 * KB;
/**
 * A message is taken to be in memory this often while it is worked on: the pieces that came, the message, and what is
 * made of it or sent on. Visual inputs take at most 2.25 of it, as floats that go over Redis: packed until one is found
 * that is no byte, unpacked, and written out. Packed ones take 0.5 (`npm run bench visual-frames`).
 */
const COPIES = 3;
/** Deflate packs no denser. */
const MOST_PACKED = 1032;
/**
 * A message must come, an answer be taken, and a call that was answered be ended, within a minute and what its bytes take
 * at `SLOWEST_BYTES_A_MS`.
 */
export const PATIENCE_MS = 60_000;
const SLOWEST_BYTES_A_MS = 128;
/** What all calls without a key may take together, beside the budget: nobody without a key can use that up. */
const OPEN_CALLS_MB = 32;

export interface MemoryBounds {
  readonly budget: MemoryBudget;
  readonly maxMessageBytes: number;
  /** See PATIENCE_MS. */
  readonly patienceMs: number;
}

type CallStatus = Parameters<Parameters<ServerInterceptor>[1]['sendStatus']>[0];

const memories = new WeakMap<Metadata, CallMemory>();

/**
 * Counts what each call has in memory against the budget, from the first bytes of a message, which say how long it is.
 * A call for which there is no room ends with RESOURCE_EXHAUSTED before its message is read. The first interceptor that may refuse a call.
 */
export function boundMemory(bounds: MemoryBounds): ServerInterceptor {
  const openBounds = { ...bounds, budget: new MemoryBudget(OPEN_CALLS_MB) };
  return ({ path, requestStream }, call) => {
    const stream = streamOf(call);
    const end = (status: CallStatus, send: (status: CallStatus) => void) => {
      const isWholeAnswer = !stream.headersSent;
      memory.answered();
      send(status);
      // Whoever is refused may send on, and hold the call open, for as long as he likes: nothing of him is kept.
      if (isWholeAnswer) memory.letGo();
    };
    const refuse = (error: FarmError) => end(toStatus(error), (status) => call.sendStatus(status));
    const memory = new CallMemory(isOpenToEverybody(path) ? openBounds : bounds, stream, requestStream, refuse);
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        memories.set(metadata, memory);
        if (memory.open()) next(metadata);
      })
      .build();
    const responder = new ResponderBuilder().withStart((next) => next(listener)).withSendStatus(end);
    return new ServerInterceptingCall(call, responder.build());
  };
}

/** Frees what the oldest message of a call takes: it has been dealt with. */
export function messageDone({ metadata }: { readonly metadata: Metadata }): void {
  memories.get(metadata)?.messageDone();
}

/** Takes what an answer of this size needs while it comes in, before any of it is made. FarmError('memory_full'). */
export function expectAnswer({ metadata }: { readonly metadata: Metadata }, bytes: number): void {
  memories.get(metadata)?.expectAnswer(bytes);
}

/** Takes what the only answer of a call needs until the caller has it. FarmError('memory_full'). */
export function takeForAnswer({ metadata }: { readonly metadata: Metadata }, message: unknown): void {
  memories.get(metadata)?.answering(bytesIn(message));
}

/** The memory of one call. */
class CallMemory {
  readonly #maxMessageBytes: number;
  readonly #patienceMs: number;
  readonly #share: MemoryShare;
  readonly #stream: ServerHttp2Stream;
  /** Whether there may be more than one message, with any time between them. */
  readonly #isStream: boolean;
  readonly #refuse: (error: FarmError) => void;
  /** What the messages that are in memory take, oldest first. */
  readonly #messages: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #answerBytes = 0;
  /** Taken for an answer that is being made. */
  #expectedBytes = 0;
  #isOver = false;

  constructor(bounds: MemoryBounds, stream: ServerHttp2Stream, isStream: boolean, refuse: (error: FarmError) => void) {
    this.#isStream = isStream;
    this.#maxMessageBytes = bounds.maxMessageBytes;
    this.#patienceMs = bounds.patienceMs;
    this.#share = bounds.budget.share();
    this.#stream = stream;
    this.#refuse = refuse;
  }

  /** False when the call was refused. */
  open(): boolean {
    const lengths = new MessageLengths(
      (message) => this.#begin(message),
      () => this.#isStream && clearTimeout(this.#timer),
    );
    this.#stream.on('data', (bytes: Buffer) => {
      if (!this.#isOver) lengths.push(bytes);
    });
    this.#stream.once('end', () => {
      if (!this.#isOver) clearTimeout(this.#timer);
    });
    this.#stream.once('close', () => {
      clearTimeout(this.#timer);
      this.#share[Symbol.dispose]();
    });
    if (!this.#take(CALL_BYTES)) return false;
    if (!this.#isStream) this.#expectRequest(0);
    return true;
  }

  /** Frees all that the call has, and ends it: its status, which is its whole answer, was sent. */
  letGo(): void {
    clearTimeout(this.#timer);
    this.#share[Symbol.dispose]();
    this.#stream.removeAllListeners('data');
    // A stream in which something waits to be read does not close.
    this.#stream.resume();
    setImmediate(() => this.#stream.close(constants.NGHTTP2_NO_ERROR));
  }

  messageDone(): void {
    this.#share.shrink(this.#messages.shift() ?? 0);
  }

  expectAnswer(bytes: number): void {
    this.#share.grow(bytes);
    this.#expectedBytes += bytes;
  }

  answering(bytes: number): void {
    // Once as it is, once packed.
    this.#share.grow(2 * bytes - this.#expectedBytes);
    this.#expectedBytes = 0;
    this.#answerBytes = bytes;
    // grpc-js sends the status only once the message is on its way, which it never is to a caller that takes nothing.
    this.answered();
  }

  /** The answer is on its way: what still comes is thrown away, and a caller who does not end the call is cut off. */
  answered(): void {
    this.#isOver = true;
    this.#expect(this.#answerBytes, () => this.#stream.close(constants.NGHTTP2_CANCEL));
  }

  #begin({ length, isCompressed }: MessageStart): void {
    const bytes = COPIES * Math.min(isCompressed ? MOST_PACKED * length : length, this.#maxMessageBytes);
    if (!this.#take(bytes)) return;
    this.#messages.push(bytes);
    this.#expectRequest(length);
  }

  #expectRequest(bytes: number): void {
    const what = bytes > 0 ? `The message of ${bytes} bytes` : 'The end of the request';
    this.#expect(bytes, () => this.#refuse(new FarmError('request_timed_out', `${what} did not come in time`)));
  }

  #take(bytes: number): boolean {
    try {
      this.#share.grow(bytes);
      return true;
    } catch (full) {
      this.#refuse(FarmError.from(full));
      return false;
    }
  }

  #expect(bytes: number, onLate: () => void): void {
    clearTimeout(this.#timer);
    // The handler of a call that was refused may answer it as well, when the call has closed.
    if (this.#stream.destroyed) return;
    // While the farm itself holds the sender back, nobody is late; once it has answered, it holds back nobody.
    const isHeldBack = () => !this.#isOver && this.#stream.isPaused();
    const look = () => (isHeldBack() ? this.#expect(bytes, onLate) : onLate());
    this.#timer = setTimeout(look, this.#patienceMs + bytes / SLOWEST_BYTES_A_MS);
  }
}

/** Pictures and sound in a message; its numbers are few. */
function bytesIn(value: unknown): number {
  if (Buffer.isBuffer(value)) return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce((sum: number, part) => sum + bytesIn(part), 0);
}
