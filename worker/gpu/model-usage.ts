import type { Heartbeat } from '../../shared/workers/heartbeat.ts';

export type Usage = Heartbeat['models'][number]['usage'];

/** How much segments and live requests have used each model in this process. */
export class ModelUsage {
  readonly #models = new Map<string, Usage>();

  /** Notes a request that is done. @param inferenceMs what its runs of the network took in all. */
  note(modelId: string, inferenceMs: number): void {
    const { requestCount, totalInferenceMs } = this.of(modelId);
    this.#models.set(modelId, {
      requestCount: requestCount + 1,
      totalInferenceMs: totalInferenceMs + inferenceMs,
      lastUsedAtMs: Date.now(),
    });
  }

  of(modelId: string): Usage {
    return this.#models.get(modelId) ?? { requestCount: 0, totalInferenceMs: 0, lastUsedAtMs: null };
  }
}
