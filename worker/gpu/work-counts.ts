import { FarmError } from '../../shared/errors/farm-error.ts';
import { count, observe } from '../../shared/metrics/tally.ts';
import type { SilenceCounts } from '../pipeline/contract.ts';

/** What a GPU worker counts of its work, for `/metrics`. */

export type WorkKind = 'render' | 'live';

/** What a task was done for, and where. */
export interface WorkPlace {
  readonly kind: WorkKind;
  readonly model: string;
  readonly gpu: number;
}

/** Counts the frames of a task as they are made. */
export class FrameCount {
  readonly #place: WorkPlace;
  #counted = 0;

  constructor(place: WorkPlace) {
    this.#place = place;
  }

  /** @param done frames of the task that are made by now. */
  upTo(done: number): void {
    count('farm_frames_total', { ...this.#place }, done - this.#counted);
    this.#counted = Math.max(this.#counted, done);
  }
}

/** @param timingsMs time in each stage, over all frames. */
export function countStages(
  { kind, gpu }: WorkPlace,
  frames: number,
  timingsMs: Readonly<Record<string, number>>,
): void {
  for (const [stage, ms] of Object.entries(timingsMs)) {
    count('farm_stage_seconds_total', { stage, gpu }, ms / 1000);
    observe('farm_stage_frame_seconds', { stage, kind }, ms / 1000 / Math.max(1, frames));
  }
}

/** Counts frames in silence, of which the network made none or few. */
export function countSilence({ kind, model, gpu }: WorkPlace, { frames, spared, made }: SilenceCounts): void {
  if (frames > 0) count('farm_silent_frames_total', { kind, model, gpu }, frames);
  if (spared > 0) count('farm_spared_frames_total', { kind, model, gpu }, spared);
  if (made > 0) count('farm_silent_mouths_total', { kind, model, gpu }, made);
}

/** Counts how a task ended. @param thrown what it failed with; absent: it succeeded. */
export function countOutcome({ kind, model, gpu }: WorkPlace, aborted: boolean, thrown?: unknown): void {
  const name = kind === 'render' ? 'farm_segments_total' : 'farm_requests_total';
  const outcome = aborted ? 'cancelled' : thrown === undefined ? 'completed' : FarmError.from(thrown).code;
  count(name, { model, gpu, outcome });
}

/** Counts models that were brought into memory. */
export class LoadCount {
  readonly #gpu: number;
  #loadedAtMs: ReadonlyMap<string, number> = new Map();

  constructor(gpu: number) {
    this.#gpu = gpu;
  }

  /** @param loaded the models that are in memory now. */
  note(loaded: ReadonlyMap<string, { readonly loadedAtMs: number }>): void {
    for (const [model, { loadedAtMs }] of loaded) {
      if (this.#loadedAtMs.get(model) !== loadedAtMs) count('farm_model_loads_total', { model, gpu: this.#gpu });
    }
    this.#loadedAtMs = new Map([...loaded].map(([model, { loadedAtMs }]) => [model, loadedAtMs]));
  }
}
