import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { createTraceState, ROOT_CONTEXT, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { ConfigValues } from '../config/schema.ts';
import { logged } from '../process/unheard.ts';
import type { SpanAttributes, SpanOptions, TracePlace, Tracer, TraceSpan } from './contract.ts';

/** The only module that imports OpenTelemetry; it is loaded when tracing is on, and not before. */

const KINDS = { server: SpanKind.SERVER, consumer: SpanKind.CONSUMER, internal: SpanKind.INTERNAL } as const;
/** Version, trace, span, flags: https://www.w3.org/TR/trace-context/. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;
/** Whoever restarts a process does not wait longer for a collector that is away. */
const CLOSED_WITHIN_MS = 2000;
const SEND_EVERY_MS = 1000;
const TRACES_PATH = '/v1/traces';

/** Sends spans over OTLP, as protobuf over HTTP, to `endpoint` or as OTEL_EXPORTER_OTLP_ENDPOINT says. */
export function otlpTracer({ endpoint, sample_ratio }: ConfigValues['tracing'], processName: string): Tracer {
  const exporter = new OTLPTraceExporter(endpoint === '' ? {} : { url: tracesUrl(endpoint) });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'lipsync-farm',
      'service.instance.id': `${processName}@${hostname()}:${process.pid}`,
      'farm.process': processName,
      'host.name': hostname(),
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sample_ratio) }),
    spanProcessors: [new BatchSpanProcessor({ exporter, scheduledDelayMillis: SEND_EVERY_MS })],
  });
  const otel = provider.getTracer('lipsync-farm');
  const start = (name: string, { kind, parent, startMs, attributes }: SpanOptions): Span =>
    otel.startSpan(
      name,
      { kind: KINDS[kind], ...(startMs === undefined ? {} : { startTime: startMs }), attributes: { ...attributes } },
      contextOf(parent),
    );
  return {
    start: (name, options) => new OtlpSpan(start(name, options), start),
    async close() {
      const late = delay(CLOSED_WITHIN_MS, undefined, { ref: false });
      await Promise.race([provider.shutdown(), late]).catch(logged('the last spans were not sent'));
    },
  };
}

/** An address as OTEL_EXPORTER_OTLP_ENDPOINT has it, without the path of traces; one with it is good as well. */
function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (!url.pathname.endsWith(TRACES_PATH)) url.pathname = url.pathname.replace(/\/$/, '') + TRACES_PATH;
  return url.href;
}

function contextOf(parent: TracePlace | undefined) {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(parent?.traceparent ?? '') ?? [];
  if (!traceId || !spanId || !flags) return ROOT_CONTEXT;
  const traceFlags = Number.parseInt(flags, 16) & 1;
  const traceState = createTraceState(parent?.tracestate);
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, traceState, isRemote: true });
}

class OtlpSpan implements TraceSpan {
  readonly traceparent: string;
  readonly tracestate: string | undefined;
  readonly isKept: boolean;
  readonly #span: Span;
  readonly #start: (name: string, options: SpanOptions) => Span;

  constructor(span: Span, start: (name: string, options: SpanOptions) => Span) {
    const { traceId, spanId, traceFlags, traceState } = span.spanContext();
    this.#span = span;
    this.#start = start;
    this.traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
    this.tracestate = traceState?.serialize() || undefined;
    this.isKept = (traceFlags & 1) === 1;
  }

  set(attributes: SpanAttributes): void {
    this.#span.setAttributes({ ...attributes });
  }

  child(name: string, startMs: number, endMs: number, attributes: SpanAttributes = {}): void {
    if (!this.isKept) return;
    this.#start(name, { kind: 'internal', parent: this, startMs, attributes }).end(endMs);
  }

  end(fault?: string): void {
    if (fault !== undefined) this.#span.setStatus({ code: SpanStatusCode.ERROR, message: fault });
    this.#span.end();
  }
}
