import type {
  handleBidiStreamingCall,
  handleClientStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Logger } from '../../shared/process/log.ts';
import type { Caller } from '../access/caller.ts';
import { forRequest } from '../request-context.ts';
import { RunningWork } from '../running-work.ts';
import { callerOf } from './auth.ts';
import { contextOf } from './call-hooks.ts';
import { expectAnswer, messageDone, takeForAnswer } from './call-memory.ts';
import { readOneByOne } from './inside-grpc.ts';
import { toStatus } from './status.ts';

const INTERNAL = 13;

/** A call as far as its life is concerned. */
interface CallLife {
  readonly metadata: Metadata;
  getPath(): string;
  getDeadline(): Date | number;
  once(event: 'cancelled', listener: () => void): unknown;
}

type Written<A> = Pick<ServerWritableStream<unknown, A>, 'write'>;
type Read = Parameters<handleClientStreamingCall<unknown, unknown>>[0];

/**
 * Turns plain async functions into gRPC handlers, and keeps count of the calls that run. Here, once for all calls:
 * cancellation, deadline and the end of a key arrive as AbortSignal, failures leave as status, and messages flow only as fast as the
 * slower side takes them.
 */
export class Calls {
  readonly #log: Logger;
  readonly #running = new RunningWork();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @param work tells `expect` the bytes of a large answer before it makes it: FarmError('memory_full') without room. */
  unary<Q, A>(
    work: (request: Q, signal: AbortSignal, caller: Caller, expect: (answerBytes: number) => void) => Promise<A>,
  ): handleUnaryCall<Q, A> {
    return (call, answer) => {
      const run = async (signal: AbortSignal, caller: Caller) => {
        const expect = (answerBytes: number) => expectAnswer(call, answerBytes);
        const message = await work(decoded(call.request), signal, caller, expect);
        takeForAnswer(call, message);
        return message;
      };
      this.#run(call, run).then(
        (message) => answer(null, message),
        (error: unknown) => answer(toStatus(error)),
      );
    };
  }

  clientStream<Q, A>(
    work: (messages: AsyncIterator<Q>, signal: AbortSignal, caller: Caller) => Promise<A>,
  ): handleClientStreamingCall<Q, A> {
    return (call, answer) => {
      this.#run(call, (signal, caller) => work(messagesOf<Q>(call), signal, caller)).then(
        (message) => answer(null, message),
        (error: unknown) => answer(toStatus(error)),
      );
    };
  }

  serverStream<Q, A>(
    work: (request: Q, signal: AbortSignal, caller: Caller) => AsyncIterable<A>,
  ): handleServerStreamingCall<Q, A> {
    return (call) => {
      const run = async (signal: AbortSignal, caller: Caller) =>
        await sendAll(call, work(decoded(call.request), signal, caller), signal);
      this.#run(call, run).then(
        () => call.end(),
        (error: unknown) => call.emit('error', toStatus(error)),
      );
    };
  }

  bidiStream<Q, A>(
    work: (messages: AsyncIterator<Q>, signal: AbortSignal, caller: Caller) => AsyncIterable<A>,
  ): handleBidiStreamingCall<Q, A> {
    return (call) => {
      this.#run(call, (signal, caller) => sendAll(call, work(messagesOf<Q>(call), signal, caller), signal)).then(
        () => call.end(),
        (error: unknown) => call.emit('error', toStatus(error)),
      );
    };
  }

  /** Resolves when the last running call has been answered; after `patienceMs` they are told to stop. */
  async finish(patienceMs: number): Promise<void> {
    await this.#running.finish(patienceMs);
  }

  /** Does the work of a call; rejects with why the call was stopped, when it was. */
  async #run<R>(call: CallLife, work: (signal: AbortSignal, caller: Caller) => Promise<R>): Promise<R> {
    const caller = callerOf(call);
    const controller = new AbortController();
    const { revoked } = caller;
    const onRevoked = () => controller.abort(revoked.reason);
    revoked.addEventListener('abort', onRevoked);
    const ended = this.#running.begin(controller);
    let isDone = false;
    // grpc-js emits this for an answered call as well, once its status is sent: only then has the call ended.
    call.once('cancelled', () => {
      ended();
      revoked.removeEventListener('abort', onRevoked);
      if (!isDone) controller.abort(goneReason(call));
    });
    const context = contextOf(call);
    try {
      const start = () => work(controller.signal, caller);
      return await (context ? forRequest(context, start) : start());
    } catch (thrown) {
      const error = FarmError.from(controller.signal.aborted ? controller.signal.reason : thrown);
      if (error.grpcStatus === INTERNAL) {
        this.#log.error({ call: call.getPath(), request: context?.origin.request, err: thrown }, 'call failed');
      }
      throw error;
    } finally {
      isDone = true;
    }
  }
}

/** grpc-js reports a passed deadline and a caller who left in the same way. */
function goneReason(call: CallLife): FarmError {
  if (Date.now() < Number(call.getDeadline())) return new FarmError('request_cancelled', 'The caller cancelled');
  return new FarmError('deadline_exceeded', "The call's deadline has passed");
}

/** Messages as they are asked for: while nobody asks, HTTP/2 holds the sender back. Leaving early ends nothing. */
async function* messagesOf<Q>(call: Read): AsyncGenerator<Q, void> {
  readOneByOne(call);
  for await (const message of call.iterator({ destroyOnReturn: false })) {
    yield decoded(message as Q);
    messageDone(call);
  }
}

/** The message, unless its bytes were none (see serviceOf). */
function decoded<Q>(message: Q): Q {
  if (message instanceof FarmError) throw message;
  return message;
}

/** Sends each message when the one before it has left: a slow reader is waited for, never buffered for. */
async function sendAll<A>(call: Written<A>, messages: AsyncIterable<A>, signal: AbortSignal): Promise<void> {
  for await (const message of messages) {
    signal.throwIfAborted();
    const sent = Promise.withResolvers<void>();
    const stop = () => sent.reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    call.write(message, (error?: Error | null) => (error ? sent.reject(error) : sent.resolve()));
    try {
      await sent.promise;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }
}
