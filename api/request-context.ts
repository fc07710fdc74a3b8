import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import type { Origin } from '../shared/jobs/origin.ts';
import type { TracePlace, TraceSpan } from '../shared/tracing/contract.ts';
import type { Caller } from './access/caller.ts';

/** The request or call that the code works for, wherever it is: for jobs, logs and traces, never for decisions. */
export interface RequestContext {
  readonly via: 'http' | 'grpc';
  /** Of the sender. */
  readonly address: string;
  /** What is asked for, in the words of this farm. */
  readonly route: string;
  readonly origin: Origin;
  /** Undefined where nobody had to say who he is. */
  readonly caller: Caller | undefined;
}

/** Header and metadata with the id of a request, in and out. */
export const REQUEST_ID = 'x-request-id';
/** What is taken over from senders: it goes into logs and jobs. */
const GIVEN_ID = /^[\w.:@/+=-]{1,128}$/;

const contexts = new AsyncLocalStorage<RequestContext>();

/** Runs `work` for a request. */
export function forRequest<T>(context: RequestContext, work: () => T): T {
  return contexts.run(context, work);
}

/** The request that this is done for; undefined for what the farm does by itself. */
export function currentRequest(): RequestContext | undefined {
  return contexts.getStore();
}

/** For jobs: nothing where there is no request. */
export function currentOrigin(): { origin?: Origin } {
  const origin = contexts.getStore()?.origin;
  return origin ? { origin } : {};
}

/** Where work comes from. @param span of the request; undefined while nothing is traced. */
export function originOf(request: string, span: TraceSpan | undefined): Origin {
  if (!span?.isKept) return { request };
  const { traceparent, tracestate } = span;
  return { request, trace: traceparent, ...(tracestate && { state: tracestate }) };
}

/** The span above that of a request, from what its sender says. A `tracestate` in several headers is one list. */
export function traceAbove(
  traceparent: string | undefined,
  tracestate: string | readonly string[] | undefined,
): TracePlace | undefined {
  if (traceparent === undefined) return undefined;
  return { traceparent, tracestate: [tracestate ?? []].flat().join(',') || undefined };
}

/** What an answer says of the trace that it belongs to, by the names of headers. */
export function traceHeaders(span: TraceSpan | undefined): ReadonlyMap<string, string> {
  if (!span) return new Map();
  const { traceparent, tracestate } = span;
  return new Map([['traceparent', traceparent], ...(tracestate ? [['tracestate', tracestate] as const] : [])]);
}

/** The id that a sender gave its request, if it is one that may be taken over, else a new one. */
export function requestIdOf(given: string | undefined): string {
  return given !== undefined && GIVEN_ID.test(given) ? given : randomUUID();
}
