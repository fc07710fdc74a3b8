import type { FarmError } from '../../shared/errors.ts';
import type { BlockedModel } from '../../shared/heartbeat.ts';
import type { LiveJob, SegmentJob } from '../../shared/jobs.ts';
import type { JobHandler } from '../jobs/job-runner.ts';

/** One failure may be an accident, two a coincidence. */
const FAILURES_IN_A_ROW = 3;

type GpuJob = Pick<SegmentJob | LiveJob, 'name' | 'modelId'>;

/**
 * Models that this worker has failed at again and again with the same kind of job, while another worker may do better.
 * It takes no more work for them that another would take, until it is told to, starts anew, or has tried again with
 * success because there was no other.
 */
export class Blocklist {
  readonly #onChange: () => void;
  /** Failures in a row, by model and kind of job. */
  readonly #failures = new Map<string, number>();
  readonly #models = new Map<string, { readonly error: FarmError; readonly sinceMs: number }>();

  /** @param onChange called when a model was blocked or is taken up again. */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Null for a model that is in use. */
  of(modelId: string): BlockedModel | null {
    const found = this.#models.get(modelId);
    return found ? { code: found.error.code, reason: found.error.message, sinceMs: found.sinceMs } : null;
  }

  /** The failure that made this worker block a model; undefined for a model that is in use. */
  reasonFor(modelId: string): FarmError | undefined {
    return this.#models.get(modelId)?.error;
  }

  succeeded({ modelId, name }: GpuJob): void {
    this.#failures.delete(keyOf(modelId, name));
    if (this.#models.has(modelId)) this.clear(modelId);
  }

  /** Counts a failure, unless no other worker could do better. */
  failed({ modelId, name }: GpuJob, error: FarmError): void {
    if (!error.mayLieWithWorker) return;
    const key = keyOf(modelId, name);
    const count = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, count);
    if (count < FAILURES_IN_A_ROW || this.#models.has(modelId)) return;
    this.#models.set(modelId, { error, sinceMs: Date.now() });
    this.#onChange();
  }

  /** Takes a model up again, or all of them, and forgets their failures. */
  clear(modelId?: string): void {
    for (const key of [...this.#failures.keys()]) {
      if (modelId === undefined || key.endsWith(` ${modelId}`)) this.#failures.delete(key);
    }
    if (modelId === undefined) this.#models.clear();
    else this.#models.delete(modelId);
    this.#onChange();
  }
}

/** Hands segments of a model that is blocked to a GPU that may do better, and tries them here when there is none. */
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
