import type { ErrorCode } from '../../shared/errors/catalogue.ts';
import type { FarmError } from '../../shared/errors/farm-error.ts';
import type { LiveJob, SegmentJob } from '../../shared/jobs/jobs.ts';
import type { BlockedModel } from '../../shared/workers/heartbeat.ts';
import type { JobHandler } from '../jobs/job-runner.ts';

/** A model is blocked after this many failures in a row: one may be an accident, two a coincidence. */
const FAILURES_IN_A_ROW = 3;

/** Over by themselves once other workers agree, or no failure of the model at all. */
const NO_FAILURES: ReadonlySet<ErrorCode> = new Set(['model_files_differ', 'no_worker']);

type GpuJob = Pick<SegmentJob | LiveJob, 'name' | 'modelId'>;

/**
 * Blocks a model after this worker has failed at it several times in a row with the same kind of job, while another
 * worker might succeed. A blocked model's work goes to other workers until an operator unblocks it, the worker
 * restarts, or it succeeds with the model because no other worker could take the work.
 */
export class Blocklist {
  readonly #onChange: () => void;
  /** Failures in a row, by model and kind of job. */
  readonly #failures = new Map<string, number>();
  readonly #models = new Map<string, { readonly error: FarmError; readonly sinceMs: number }>();

  /** @param onChange called when a model was blocked or unblocked. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Null for a model that is not blocked. */
  of(modelId: string): BlockedModel | null {
    const found = this.#models.get(modelId);
    return found ? { code: found.error.code, reason: found.error.message, sinceMs: found.sinceMs } : null;
  }

  /** The failure that got a model blocked; undefined for a model that is not blocked. */
  reasonFor(modelId: string): FarmError | undefined {
    return this.#models.get(modelId)?.error;
  }

  succeeded({ modelId, name }: GpuJob): void {
    this.#failures.delete(keyOf(modelId, name));
    if (this.#models.has(modelId)) this.clear(modelId);
  }

  /** Counts a failure, unless it would have happened on any worker, or says nothing of this one. */
  failed({ modelId, name }: GpuJob, error: FarmError): void {
    if (!error.mayLieWithWorker || NO_FAILURES.has(error.code)) return;
    const key = keyOf(modelId, name);
    const count = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, count);
    if (count < FAILURES_IN_A_ROW || this.#models.has(modelId)) return;
    this.#models.set(modelId, { error, sinceMs: Date.now() });
    this.#onChange();
  }

  /** Unblocks a model, or all of them, and forgets their failures. */
  clear(modelId?: string): void {
    for (const key of [...this.#failures.keys()]) {
      if (modelId === undefined || key.endsWith(` ${modelId}`)) this.#failures.delete(key);
    }
    if (modelId === undefined) this.#models.clear();
    else this.#models.delete(modelId);
    this.#onChange();
  }
}

/** Moves segments of a blocked model to another GPU, and renders them here when no other GPU can. */
export function givingAway(blocklist: Blocklist, handler: JobHandler<'segment'>): JobHandler<'segment'> {
  return async (job, context) => {
    const reason = blocklist.reasonFor(job.modelId);
    const queueName = reason && (await context.moveElsewhere(reason, false));
    return queueName ? `moved to ${queueName}: the model is blocked here` : await handler(job, context);
  };
}

function keyOf(modelId: string, jobName: GpuJob['name']): string {
  return `${jobName} ${modelId}`;
}
