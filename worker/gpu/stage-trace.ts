import type { TraceSpan } from '../../shared/tracing/contract.ts';
import type { StageSpans } from '../pipeline/stage-timings.ts';

/** Names of stages in traces, where they differ from those in the code. */
const NAMES: Readonly<Record<string, string>> = { inference: 'network', visualInput: 'visual_input' };

/** Puts the stages of a task below the span of its job. @param timingsMs how long each worked. */
export function traceStages(
  span: TraceSpan | undefined,
  spans: StageSpans | undefined,
  timingsMs: Readonly<Record<string, number>>,
): void {
  if (!span || !spans) return;
  for (const [stage, [fromMs, toMs]] of Object.entries(spans)) {
    const name = NAMES[stage] ?? stage;
    const busyMs = timingsMs[stage] ?? timingsMs[name] ?? 0;
    span.child(name, fromMs, toMs, { 'farm.busy_ms': Math.round(busyMs * 10) / 10 });
  }
}
