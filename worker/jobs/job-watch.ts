import { DelayedError, WaitingError } from 'bullmq';
import type { Job } from '../../shared/jobs/jobs.ts';
import { count, observe } from '../../shared/metrics/tally.ts';
import type { TracePlace, TraceSpan } from '../../shared/tracing/contract.ts';
import { startSpan } from '../../shared/tracing/tracing.ts';
import { beginJob, type RunningJob } from './running-jobs.ts';

/** How a job came to this worker. */
export interface Pickup {
  /** Name of its queue, or of what stands in its place. */
  readonly queueName: string;
  /** 1 for the first time that it was picked up. */
  readonly attempt: number;
  /** When it was placed there. */
  readonly placedAtMs: number;
}

/** What can be seen of a job from outside while it runs, and when it has ended: its counts, and its span. */
export class JobWatch {
  readonly #job: Job;
  readonly #startedAtMs = performance.now();
  readonly #running: RunningJob;
  /** Covers this run; undefined while nothing is traced. */
  readonly span: TraceSpan | undefined;

  constructor(job: Job, pickup: Pickup) {
    this.#job = job;
    this.#running = beginJob(job.name);
    // The last step of a render waits for the others all the time.
    if (pickup.attempt === 1 && job.name !== 'stitch') {
      observe('farm_job_wait_seconds', { job: job.name }, (Date.now() - pickup.placedAtMs) / 1000);
    }
    const { trace, state } = job.origin ?? {};
    this.span = trace ? this.#begin({ traceparent: trace, tracestate: state }, pickup) : undefined;
  }

  progressed(): void {
    this.#running.progressed();
  }

  /** @param outcome as the handler says it: "done", "skipped: …", "moved to …". */
  done(outcome: string): void {
    const [word = 'done'] = outcome.split(/\W/);
    this.#end(word === 'loaded' ? 'done' : word);
  }

  /** @param thrown what decides over what becomes of it. */
  failed(thrown: unknown, lastTry: boolean): void {
    if (thrown instanceof WaitingError) this.#end('handed_back');
    else if (thrown instanceof DelayedError) this.#end('wait');
    else this.#end(lastTry || isFinal(thrown) ? 'failed' : 'retry', (thrown as Error).message);
  }

  #begin(parent: TracePlace, { queueName, attempt, placedAtMs }: Pickup): TraceSpan | undefined {
    const { name } = this.#job;
    const attributes = {
      ...{ 'messaging.system': 'bullmq', 'messaging.destination.name': queueName, 'farm.job': name },
      ...('renderId' in this.#job ? { 'farm.render': this.#job.renderId } : {}),
      ...('modelId' in this.#job ? { 'farm.model': this.#job.modelId } : {}),
      ...('segmentIndex' in this.#job ? { 'farm.segment': this.#job.segmentIndex } : {}),
      'farm.attempt': attempt,
    };
    startSpan('queue', { kind: 'internal', parent, startMs: placedAtMs, attributes })?.end();
    return startSpan(name, { kind: 'consumer', parent, attributes });
  }

  #end(outcome: string, fault?: string): void {
    const { name: job } = this.#job;
    this.#running.ended();
    count('farm_jobs_total', { job, outcome });
    observe('farm_job_seconds', { job }, (performance.now() - this.#startedAtMs) / 1000);
    this.span?.set({ 'farm.outcome': outcome });
    this.span?.end(fault);
  }
}

/** Whether BullMQ would not try again. */
function isFinal(thrown: unknown): boolean {
  return (thrown as Error | undefined)?.name === 'UnrecoverableError';
}
