import { FarmError } from '../../shared/errors.ts';
import type { SetAside } from '../../shared/heartbeat.ts';
import type { LiveJob, SegmentJob } from '../../shared/jobs.ts';

/** One failure may be an accident, two a coincidence. */
const FAILURES_IN_A_ROW = 3;

type GpuJob = Pick<SegmentJob | LiveJob, 'name' | 'modelId'>;

/**
 * Models that this worker has failed at again and again with the same kind of job, while another worker may do better:
 * it takes no more work for them until it is told to, or starts anew.
 */
export class SetAsides {
  readonly #gpuId: number;
  readonly #onChange: () => void;
  /** Failures in a row, by model and kind of job. */
  readonly #failures = new Map<string, number>();
  readonly #models = new Map<string, SetAside>();

  /** @param onChange called when a model was set aside or is taken up again. */
  constructor(gpuId: number, onChange: () => void) {
    this.#gpuId = gpuId;
    this.#onChange = onChange;
  }

  /** Null for a model that is in use. */
  of(modelId: string): SetAside | null {
    return this.#models.get(modelId) ?? null;
  }

  /** @throws FarmError `model_set_aside` for a model that is set aside, with the failure that led to it. */
  refuse(modelId: string): void {
    const found = this.#models.get(modelId);
    if (!found) return;
    throw new FarmError(
      'model_set_aside',
      `GPU ${this.#gpuId} has set model ${modelId} aside after ${FAILURES_IN_A_ROW} failures in a row, the last: ${found.reason} [${found.code}]`,
    );
  }

  succeeded({ modelId, name }: GpuJob): void {
    this.#failures.delete(`${name} ${modelId}`);
  }

  /** Counts a failure, unless no other worker could do better. */
  failed({ modelId, name }: GpuJob, error: FarmError): void {
    if (!error.mayLieWithWorker || this.#models.has(modelId)) return;
    const key = `${name} ${modelId}`;
    const count = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, count);
    if (count < FAILURES_IN_A_ROW) return;
    this.#models.set(modelId, { code: error.code, reason: error.message, sinceMs: Date.now() });
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
