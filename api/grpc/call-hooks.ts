import {
  type Metadata,
  ResponderBuilder,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { count, observe } from '../../shared/metrics/tally.ts';
import type { TraceSpan } from '../../shared/tracing/contract.ts';
import { startSpan } from '../../shared/tracing/tracing.ts';
import type { AccessLog } from '../logs/access-log.ts';
import {
  originOf,
  REQUEST_ID,
  type RequestContext,
  requestIdOf,
  traceAbove,
  traceHeaders,
} from '../request-context.ts';
import { callerOf, hostOf, METHOD_ROLES } from './auth.ts';

/** What every gRPC call leaves: its id and its trace in the answer, a line, a span, and its counts. */

/** Label of methods that the farm does not have, of its health and of its reflection. */
const OTHER_METHODS = 'other';

interface Followed {
  readonly context: RequestContext;
  readonly span: TraceSpan | undefined;
}

/** By the metadata that came with the call: the same object reaches the handler. */
const calls = new WeakMap<Metadata, Followed>();

/** Put it before the interceptors that may refuse a call. */
export function followCalls({ accessLog }: { readonly accessLog: AccessLog }): ServerInterceptor {
  return ({ path }, call) => {
    const startedAt = performance.now();
    let received: Metadata | undefined;
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        received = metadata;
        calls.set(metadata, begin(path, hostOf(call.getPeer()), metadata));
        next(metadata);
      })
      .build();
    const mark = (metadata: Metadata | null | undefined) => {
      const followed = received && calls.get(received);
      if (!metadata || !followed) return;
      metadata.set(REQUEST_ID, followed.context.origin.request);
      for (const [name, value] of traceHeaders(followed.span)) metadata.set(name, value);
    };
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener))
      .withSendMetadata((metadata, next) => {
        mark(metadata);
        next(metadata);
      })
      .withSendStatus((status, next) => {
        mark(status.metadata);
        end(path, received, status.code, performance.now() - startedAt, accessLog);
        next(status);
      });
    return new ServerInterceptingCall(call, responder.build());
  };
}

/** The call as what is done for it knows it. */
export function contextOf({ metadata }: { readonly metadata: Metadata }): RequestContext | undefined {
  const followed = calls.get(metadata);
  return followed && { ...followed.context, caller: knownCaller(metadata) };
}

function begin(path: string, address: string, metadata: Metadata): Followed {
  const request = requestIdOf(textOf(metadata, REQUEST_ID));
  const route = labelOf(path);
  const span = startSpan(path.slice(1), {
    kind: 'server',
    parent: traceAbove(textOf(metadata, 'traceparent'), metadata.get('tracestate').map(String)),
    attributes: { 'rpc.system': 'grpc', 'rpc.method': path.slice(1), 'farm.request_id': request },
  });
  return { span, context: { via: 'grpc', address, route, origin: originOf(request, span), caller: undefined } };
}

function end(path: string, received: Metadata | undefined, code: number, ms: number, accessLog: AccessLog): void {
  count('farm_grpc_requests_total', { method: labelOf(path), code });
  observe('farm_grpc_request_seconds', { method: labelOf(path) }, ms / 1000);
  const followed = received && calls.get(received);
  if (!received || !followed) return;
  followed.span?.set({ 'rpc.grpc.status_code': code });
  followed.span?.end(code === 0 ? undefined : `status ${code}`);
  accessLog.note({ context: { ...followed.context, caller: knownCaller(received) }, code, ms });
}

/** Undefined for a call that was refused before it was known whose it is. */
function knownCaller(metadata: Metadata) {
  try {
    return callerOf({ metadata });
  } catch {
    return undefined; // Its key was refused, or it needed none.
  }
}

function labelOf(path: string): string {
  return path in METHOD_ROLES ? path.slice(1) : OTHER_METHODS;
}

function textOf(metadata: Metadata, name: string): string | undefined {
  const [value] = metadata.get(name);
  return value === undefined ? undefined : String(value);
}
