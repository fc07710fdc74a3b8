import { logged } from '../../shared/process/unheard.ts';
import type { ModelCost } from '../../shared/workers/heartbeat.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import type { IndexRange } from '../pipeline/contract.ts';
import { measureFrameMs } from './frame-cost.ts';
import type { Turns } from './turns.ts';

/** A segment of fewer frames says little about the pace: its start and end count too much. */
const PACE_FRAMES = 10;
const NEVER = new AbortController().signal;

/** What each model costs this GPU: measured when it is loaded, and kept after it is unloaded. */
export class ModelCosts {
  readonly #turns: Turns;
  readonly #onChange: () => void;
  readonly #costs = new Map<string, ModelCost>();
  readonly #measuring = new WeakMap<LoadedModel, Promise<void>>();

  constructor(turns: Turns, onChange: () => void) {
    this.#turns = turns;
    this.#onChange = onChange;
  }

  get all(): ReadonlyMap<string, ModelCost> {
    return this.#costs;
  }

  /** Measures a model once each time it is loaded. Wait for it: work done meanwhile would spoil the figure. */
  measureOnce(model: LoadedModel): Promise<void> {
    const known = this.#measuring.get(model) ?? this.#measure(model);
    this.#measuring.set(model, known);
    return known;
  }

  /** Takes the pace of a segment as the cost if it is faster: something disturbed the measurement then. */
  notePace(modelId: string, { start, end }: IndexRange, wallMs: number): void {
    const known = this.#costs.get(modelId);
    const frameMs = wallMs / (end - start);
    if (!known || end - start < PACE_FRAMES || frameMs >= known.frameMs) return;
    this.#costs.set(modelId, { ...known, frameMs });
    this.#onChange();
  }

  async #measure(model: LoadedModel): Promise<void> {
    try {
      const frameMs = await this.#turns.run('live', NEVER, () => measureFrameMs(model));
      this.#costs.set(model.modelId, { loadMs: model.loadMs, frameMs });
      this.#onChange();
    } catch (error) {
      logged('could not measure a model; the first job that uses it fails the same way')(error);
    }
  }
}
