import type { ServerHttp2Stream } from 'node:http2';
import type { Server as NetServer } from 'node:net';
import type { Server, ServerInterceptor } from '@grpc/grpc-js';

/**
 * What grpc-js does not offer and a bound on memory needs. Both fields are looked up by name, in this module alone: a
 * version that calls them otherwise fails here at the first call, and in the tests.
 */

type BaseCall = Parameters<ServerInterceptor>[1];

/** The HTTP/2 stream of a call, for the first of the server's interceptors. */
export function streamOf(call: BaseCall): ServerHttp2Stream {
  const { stream } = call as BaseCall & { readonly stream?: ServerHttp2Stream };
  if (!stream) throw new Error('grpc-js keeps the HTTP/2 stream of a call elsewhere than this farm looks for it');
  return stream;
}

/** The servers that listen for a gRPC server. */
export function listenersOf(server: Server): NetServer[] {
  const { http2Servers } = server as unknown as { readonly http2Servers?: Map<NetServer, unknown> };
  if (!http2Servers) throw new Error('grpc-js keeps its HTTP/2 servers elsewhere than this farm looks for them');
  return [...http2Servers.keys()];
}
