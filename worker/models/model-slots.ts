/** The models in memory, and whether they are within the limits. */

import { entryVersion } from '../../shared/config/model-config.ts';
import type { FarmError } from '../../shared/errors/farm-error.ts';
import { logged, unexpected } from '../../shared/process/unheard.ts';
import { USUAL_HEARING } from '../../shared/sound/hearing.ts';
import type { LoadedModelState } from '../../shared/workers/heartbeat.ts';
import { chooseVictim, type UseCount } from './eviction.ts';
import type { LoadedModel } from './loaded-model.ts';
import { fits, type ModelLimits, memoryOf, tooLarge, whyNoRoom } from './model-limits.ts';
import type { ModelSlot, UseKind } from './model-slot.ts';

const NEVER_USED: UseCount = { uses: 0, lastUsedAtMs: -1 };

export class ModelSlots implements Iterable<ModelSlot> {
  readonly #limits: ModelLimits;
  readonly #onUnloaded: () => void;
  readonly #slots = new Set<ModelSlot>();
  /** How much each model was used; kept when it is unloaded. */
  readonly #counts = new Map<string, UseCount>();
  /** What a model took when it was last loaded, in bytes. */
  readonly #lastBytes = new Map<string, number>();

  /** @param onUnloaded told whenever a model has left memory. */
  constructor(limits: ModelLimits, onUnloaded: () => void) {
    this.#limits = limits;
    this.#onUnloaded = onUnloaded;
  }

  [Symbol.iterator](): Iterator<ModelSlot> {
    return this.#slots.values();
  }

  get size(): number {
    return this.#slots.size;
  }

  /** Adds a model that was loaded just now, whether it fits or not. */
  add(slot: ModelSlot): void {
    this.#slots.add(slot);
    this.#lastBytes.set(slot.modelId, slot.model.memoryBytes);
  }

  /** The slot that a new use of a model may join. */
  find(modelId: string, kind: UseKind): ModelSlot | undefined {
    return [...this.#slots].find((slot) => slot.modelId === modelId && slot.admits(kind));
  }

  /** Counts a use, for the choice of the model that is unloaded first. An explicit load counts as no use. */
  countUse({ modelId }: ModelSlot, kind: UseKind): void {
    const { uses } = this.#countOf(modelId);
    this.#counts.set(modelId, { uses: uses + (kind === 'load' ? 0 : 1), lastUsedAtMs: performance.now() });
  }

  /** What is in memory, by model id, with what it takes now. */
  loaded(): Map<string, LoadedModelState> {
    // An outdated model may be in memory beside the one that replaces it; the later of the two is listed.
    return new Map(
      [...this.#slots].map(({ modelId, model, state }) => {
        const { loadMs, msPerFrame, loadedAtMs, memoryBytes, filesHash, network, prepared } = model;
        const current = state === 'closed' ? {} : { filesHash, ...contentOf(model) };
        const { done, total } = prepared.share;
        const figures = { loadMs, msPerFrame, loadedAtMs, memoryBytes, pictures: { prepared: done, total } };
        return [modelId, { ...figures, networkSize: network.size, ...current }];
      }),
    );
  }

  /** Memory that the models take in all, in bytes, and the part of it that is this process's own. */
  memory(): ReturnType<typeof memoryOf> {
    return memoryOf(this.#slots);
  }

  /** Whether the models in memory are within the limits. */
  get fit(): boolean {
    return fits(this.#slots, this.#limits);
  }

  /**
   * Whether a model may be loaded beside those in memory. Its memory is that of its last load, or 0 before the first.
   */
  hasRoomFor(modelId: string): boolean {
    return this.#slots.size === 0 || fits(this.#slots, this.#limits, 1, this.#lastBytes.get(modelId));
  }

  /** Why nothing can be loaded beside these models. */
  get whyNoRoom(): string {
    return whyNoRoom(this.#slots, this.#limits);
  }

  /** The error of a model that takes more than all models may. */
  tooLarge(slot: ModelSlot): FarmError {
    return tooLarge(slot, this.#limits);
  }

  /** The slot to unload first among those that `may` allows, by the eviction policy. */
  victim(may: (slot: ModelSlot) => boolean): ModelSlot | undefined {
    const candidates = [...this.#slots].filter(may);
    return chooseVictim(candidates, ({ modelId }) => this.#countOf(modelId), this.#limits.evictionPolicy);
  }

  /** Closes the slots that `isOutdated` names, and forgets how much memory their models took. */
  closeWhere(isOutdated: (slot: ModelSlot) => boolean): void {
    for (const slot of this.#slots) {
      if (!isOutdated(slot)) continue;
      slot.state = 'closed';
      this.#lastBytes.delete(slot.modelId);
    }
  }

  /** Unloads idle models that are retiring or closed, were unused for too long, or are over the memory limit. */
  unloadUnused(): void {
    const unusedSinceMs = performance.now() - this.#limits.idleTimeoutMs;
    for (const slot of this.#slots) {
      const isToGo = slot.state === 'retiring' || slot.state === 'closed';
      const isUnused = slot.state === 'open' && slot.idleSinceMs <= unusedSinceMs;
      if (slot.isIdle && (isToGo || isUnused)) this.unload(slot).catch(unexpected);
    }
    // Memory grows after the load, too, with the pictures that are cached.
    const over = !this.fit && this.victim(({ isIdle, state }) => isIdle && state === 'open');
    if (over)
      this.unload(over)
        .then(() => this.unloadUnused())
        .catch(unexpected);
  }

  /** Unloads a model that nobody uses. */
  async unload(slot: ModelSlot): Promise<void> {
    await slot.release().catch(logged('could not release a session; its memory is lost until the process ends'));
    if (this.#slots.delete(slot)) this.#onUnloaded();
  }

  #countOf(modelId: string): UseCount {
    return this.#counts.get(modelId) ?? NEVER_USED;
  }
}

function contentOf({ content, network, entry }: LoadedModel): Pick<LoadedModelState, 'content'> {
  if (!content) return {};
  const { networks, id: whole } = content;
  const { framesPerRun, hearing = USUAL_HEARING } = network;
  const hashes = { networks, ...(whole === undefined ? {} : { whole }), entry: entryVersion(entry) };
  return { content: { ...hashes, framesPerRun, hearing } };
}
