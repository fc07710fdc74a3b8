import type { Config } from '../config/load.ts';
import type { SpanOptions, Tracer, TraceSpan } from './contract.ts';

/**
 * Traces, as the rest of the code sees them. Without `tracing.enabled` nothing of OpenTelemetry is loaded, and each of
 * these calls is one comparison.
 */

let tracer: Tracer | undefined;

/** Turns tracing on, if the configuration says so. @param processName `api`, `media`, `gpu-0`. */
export async function startTracing({ tracing }: Pick<Config, 'tracing'>, processName: string): Promise<void> {
  if (!tracing.enabled) return;
  const { otlpTracer } = await import('./otlp-tracer.ts');
  tracer = otlpTracer(tracing, processName);
}

/** Begins a span; undefined while nothing is traced. */
export function startSpan(name: string, options: SpanOptions): TraceSpan | undefined {
  return tracer?.start(name, options);
}

/** Sends what is waiting, before the process ends. */
export async function stopTracing(): Promise<void> {
  const ending = tracer;
  tracer = undefined;
  await ending?.close();
}
