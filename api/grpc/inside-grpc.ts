import type { ServerHttp2Stream } from 'node:http2';
import type { Server as NetServer } from 'node:net';
import type { Readable } from 'node:stream';
import type { Server, ServerInterceptor } from '@grpc/grpc-js';

/**
 * What grpc-js does not offer, and a bound on memory and messages of 59 MB need. The fields are looked up by name, in
 * this module alone: a version that calls them otherwise fails here at the first call, and in the tests.
 */

type BaseCall = Parameters<ServerInterceptor>[1];

/** Puts the bytes of a stream together to messages, each with its prefix of five bytes. */
export interface MessageReader {
  /** @throws Error for a message that is too long: the call ends with RESOURCE_EXHAUSTED. */
  write(bytes: Buffer): Buffer[];
}

interface InnermostCall {
  readonly stream: ServerHttp2Stream;
  decoder: MessageReader;
  readonly handler: { serialize(message: unknown): Buffer };
  serializeMessage: (message: unknown) => Buffer;
}

/** The HTTP/2 stream of a call, for the server's interceptors. */
export function streamOf(call: BaseCall): ServerHttp2Stream {
  return innermost(call).stream;
}

/** Has the messages of a call, of which no byte was read yet, put together by `reader`. */
export function readWith(call: BaseCall, reader: MessageReader): void {
  innermost(call).decoder = reader;
}

/**
 * Has the messages that a call sends, each with its prefix of five bytes, put together by `write`.
 * @param write is given a message, and what makes the bytes of one without a prefix.
 */
export function encodeWith<M>(call: BaseCall, write: (message: M, encode: (message: M) => Buffer) => Buffer): void {
  const inner = innermost(call);
  inner.serializeMessage = (message) => write(message as M, (other) => inner.handler.serialize(other));
}

/**
 * Has a stream of messages, of which none was read yet, taken from HTTP/2 message by message, each when it is asked for.
 * By itself grpc-js reads on until 16 wait, however large they are.
 */
export function readOneByOne(messages: Readable): void {
  const { _readableState: state } = messages as unknown as { readonly _readableState?: { highWaterMark: number } };
  if (state?.highWaterMark === undefined) throw new Error('Node keeps how far streams read ahead elsewhere');
  state.highWaterMark = 0;
}

/** The call itself, below what interceptors have laid around it. */
function innermost(call: BaseCall): InnermostCall {
  let inner = call as BaseCall & Partial<InnermostCall> & { readonly nextCall?: BaseCall };
  while (inner.nextCall) inner = inner.nextCall;
  const { stream, decoder, handler, serializeMessage } = inner;
  if (stream && decoder && handler && serializeMessage) return inner as InnermostCall;
  throw new Error('grpc-js keeps the HTTP/2 stream of a call, or what reads and writes its messages, elsewhere');
}

/** The servers that listen for a gRPC server. */
export function listenersOf(server: Server): NetServer[] {
  const { http2Servers } = server as unknown as { readonly http2Servers?: Map<NetServer, unknown> };
  if (!http2Servers) throw new Error('grpc-js keeps its HTTP/2 servers elsewhere than this farm looks for them');
  return [...http2Servers.keys()];
}
