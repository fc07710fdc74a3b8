/** Traces, as the code that is traced sees them. */

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** A place in a trace, as W3C Trace Context has it. */
export interface TracePlace {
  readonly traceparent: string;
  /** What other systems of the trace have added to it. */
  readonly tracestate?: string | undefined;
}

export interface SpanOptions {
  readonly kind: 'server' | 'consumer' | 'internal';
  /** The span above; without one, or with one that cannot be read, a trace begins. */
  readonly parent?: TracePlace | undefined;
  /** Since 1970; now when absent. */
  readonly startMs?: number;
  readonly attributes?: SpanAttributes;
}

/** Something that was done, or is being done; its place is for what is done below it, and for whoever asked. */
export interface TraceSpan extends TracePlace {
  /** False when the trace is not sampled: it need not be passed on with jobs. */
  readonly isKept: boolean;
  set(attributes: SpanAttributes): void;
  /** A span below this one that is over. Times since 1970. */
  child(name: string, startMs: number, endMs: number, attributes?: SpanAttributes): void;
  /** @param fault why it failed. */
  end(fault?: string): void;
}

export interface Tracer {
  start(name: string, options: SpanOptions): TraceSpan;
  /** Sends what is waiting. Never rejects. */
  close(): Promise<void>;
}
