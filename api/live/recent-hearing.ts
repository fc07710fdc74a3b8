import type { ModelConfig } from '../../shared/config/model-config.ts';
import { frameRateOf, hearingOfModel } from '../../shared/config/model-hearing.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import type { Hearing } from '../../shared/sound/hearing.ts';

/** What a stream or a request needs to know of its model's network. */
export interface HearingFacts {
  readonly hearing: Hearing;
  /** Frames a second, as the model's entry says or its network was trained with. */
  readonly frameRate: FrameRate;
}

/** A file that was replaced is noticed so late; the worker that opens it looks for itself. */
const LOOK_EVERY_MS = 1000;

/** What models hear, looked up once a second at most: each look asks the disk, and every live request needs it. */
export class RecentHearing {
  readonly #known = new WeakMap<ModelConfig, { readonly facts: Promise<HearingFacts>; readonly atMs: number }>();

  /** @throws FarmError `model_unusable`: its network takes no known features. */
  async of(model: ModelConfig): Promise<HearingFacts> {
    const known = this.#known.get(model);
    if (known && performance.now() - known.atMs < LOOK_EVERY_MS) return await known.facts;
    const facts = look(model);
    this.#known.set(model, { facts, atMs: performance.now() });
    return await facts;
  }
}

async function look(model: ModelConfig): Promise<HearingFacts> {
  const [frameRate, hearing] = await Promise.all([frameRateOf(model), hearingOfModel(model)]);
  return { frameRate, hearing };
}
