/** The models of one GPU process: loaded when a request needs them, unloaded when others need the room. */

import { loadsTheSame, type ModelConfig } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { LoadedModelState } from '../../shared/workers/heartbeat.ts';
import type { PreparationLog } from '../prepared/prepare-avatar.ts';
import { PreparedAvatars } from '../prepared/prepared-avatars.ts';
import type { LoadSettings } from './load-settings.ts';
import type { LoadedModel } from './loaded-model.ts';
import { MemoryProbe } from './memory-probe.ts';
import type { ModelLimits } from './model-limits.ts';
import { type LoadPart, loadSlot, type ModelSlot, type ModelUse, type UseKind, versionsOf } from './model-slot.ts';
import { ModelSlots } from './model-slots.ts';
import { ModelWaiters, type UseOptions } from './model-waiters.ts';
import { SharedEncoders } from './shared-encoders.ts';

export interface ModelRegistryOptions extends LoadSettings {
  /** Every configured model by its id. */
  readonly models: ReadonlyMap<string, ModelConfig>;
  readonly limits: ModelLimits;
  /** Told how far the preparation of avatars is. */
  readonly log?: PreparationLog;
  /** Called with a model that was loaded, and without one when a model was unloaded. */
  readonly onChange?: (loaded?: LoadedModel) => void;
  /** Called when a load begins, when its next part begins, and with undefined when it has ended. */
  readonly onLoading?: (loading: LoadPart | undefined) => void;
}

const SWEEPS_PER_TIMEOUT = 4;
const LONGEST_SWEEP_MS = 30_000;

/**
 * Invariants: never more than `maxModels` in memory; a model in use is never unloaded; loads come one after the other,
 * in the order of the requests, so that each can be measured and no request waits for ever. A request that waits holds
 * no model, so no two wait for each other. While a request waits for room, one model in use takes no new uses that
 * would keep it longer: its uses end, and it is unloaded. A load that fails leaves nothing behind.
 */
export class ModelRegistry {
  readonly #options: ModelRegistryOptions;
  readonly #memory: MemoryProbe;
  readonly #encoders: SharedEncoders;
  readonly #prepared: PreparedAvatars;
  readonly #slots: ModelSlots;
  readonly #waiters: ModelWaiters;
  readonly #sweeper: NodeJS.Timeout;
  #models: ReadonlyMap<string, ModelConfig>;
  #serving = Promise.resolve();
  #isServing = false;
  #serveAgain = false;
  /** A model in use that is to be unloaded next, because a request waits for room. */
  #pendingEviction: ModelSlot | undefined;

  constructor(options: ModelRegistryOptions) {
    this.#options = options;
    this.#models = options.models;
    this.#memory = new MemoryProbe(options.providers);
    this.#encoders = new SharedEncoders(options, this.#memory);
    this.#prepared = new PreparedAvatars(options.preparing, options.cachedFrames, options.log);
    this.#slots = new ModelSlots(options.limits, () => {
      options.onChange?.();
      this.#serve();
    });
    this.#waiters = new ModelWaiters(
      () => this.#serve(),
      () => this.#whyNotYet(),
    );
    const sweepMs = Math.min(options.limits.idleTimeoutMs / SWEEPS_PER_TIMEOUT, LONGEST_SWEEP_MS);
    this.#sweeper = setInterval(() => this.#slots.unloadUnused(), sweepMs).unref();
  }

  /**
   * The model, loaded if it is not, and in memory until the use is disposed of.
   * @throws FarmError `model_unknown`; `model_too_large` when it alone passes the memory limit; `deadline_exceeded`
   * after `options.waitMs`; as loadModel does. `options.signal.reason` when that is aborted first.
   */
  async use(modelId: string, options: UseOptions): Promise<ModelUse> {
    options.signal.throwIfAborted();
    if (!this.#models.has(modelId)) throw this.#unknown(modelId);
    const slot = this.#slots.find(modelId, options.kind);
    if (slot) return this.#use(slot, options.kind, 0);
    const granted = this.#waiters.add(modelId, options);
    this.#serve();
    return await granted;
  }

  /** What is in memory, by model id, with what it takes now. */
  loaded(): Map<string, LoadedModelState> {
    return this.#slots.loaded();
  }

  /** Memory that the models take in all, in bytes, and the part of it that is this process's own. */
  memory(): ReturnType<ModelSlots['memory']> {
    return this.#slots.memory();
  }

  /**
   * Unloads a model as soon as its uses have ended. A request that comes later has it loaded again.
   */
  unload(modelId: string): void {
    for (const slot of this.#slots) {
      if (slot.modelId !== modelId) continue;
      if (slot.state === 'open') slot.state = 'retiring';
      // It is unloaded in any case now: this eviction must not be cancelled when its request stops waiting.
      if (slot === this.#pendingEviction) this.#pendingEviction = undefined;
    }
    this.#slots.unloadUnused();
  }

  /**
   * Replaces the configured models. A model whose entry or files have changed, or that is no longer there, is unloaded
   * when its uses have ended; new requests get the new one.
   */
  async configure(models: ReadonlyMap<string, ModelConfig>): Promise<void> {
    this.#models = models;
    for (const modelId of this.#waiters.modelIds) {
      if (!models.has(modelId)) this.#waiters.refuse(modelId, this.#unknown(modelId));
    }
    this.#closeWhere((slot) => !this.#isCurrent(slot));
    const current = [...this.#slots];
    const versions = await Promise.all(current.map(({ entry }) => versionsOf(entry)));
    const changed = new Set(current.filter((slot, index) => slot.versions !== versions[index]));
    this.#closeWhere((slot) => changed.has(slot));
  }

  /** Refuses the requests that wait, waits for the load in progress, and unloads everything. Nothing may be in use. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    this.#waiters.clear(new FarmError('farm_draining', 'The worker ends'));
    await this.#serving;
    await Promise.all([...this.#slots].map((slot) => this.#slots.unload(slot)));
  }

  #use(slot: ModelSlot, kind: UseKind, waitedMs: number): ModelUse {
    this.#slots.countUse(slot, kind);
    return slot.use(kind, waitedMs, () => {
      this.#slots.unloadUnused();
      this.#serve();
    });
  }

  /** Serves the requests that wait; called when something has changed for them. */
  #serve(): void {
    this.#serveAgain = true;
    if (!this.#isServing) this.#serving = this.#serveAll();
  }

  async #serveAll(): Promise<void> {
    this.#isServing = true;
    while (this.#serveAgain) {
      this.#serveAgain = false;
      this.#cancelPendingEviction();
      for (let first = this.#waiters.first; first; first = this.#waiters.first) {
        const ready = this.#slots.find(first.modelId, first.kind);
        if (ready) this.#grant(ready);
        else if (await this.#makeRoom(first.modelId)) await this.#load(first.modelId);
        else break;
      }
    }
    this.#isServing = false;
  }

  #grant(slot: ModelSlot): void {
    this.#waiters.grant(slot, ({ kind, askedAtMs }) => this.#use(slot, kind, performance.now() - askedAtMs));
  }

  /** Before the waiting requests are looked at again: the first of them may need no room any more. */
  #cancelPendingEviction(): void {
    if (this.#pendingEviction?.state === 'retiring') this.#pendingEviction.state = 'open';
    this.#pendingEviction = undefined;
  }

  /** Unloads idle models until another one fits. False when it has to wait for models in use. */
  async #makeRoom(modelId: string): Promise<boolean> {
    for (;;) {
      // A model that is retiring is unloaded before it is loaded again.
      if ([...this.#slots].some((slot) => slot.modelId === modelId && slot.state === 'retiring')) return false;
      if (this.#slots.hasRoomFor(modelId)) return true;
      const victim = this.#slots.victim(({ isIdle }) => isIdle);
      if (victim) {
        await this.#slots.unload(victim);
        continue;
      }
      const open = (slot: ModelSlot) => slot.state === 'open';
      this.#pendingEviction = this.#slots.victim((slot) => open(slot) && !slot.hasSegment) ?? this.#slots.victim(open);
      if (this.#pendingEviction) this.#pendingEviction.state = 'retiring';
      this.#waiters.refuseOverdue();
      return false;
    }
  }

  async #load(modelId: string): Promise<void> {
    this.#waiters.loading = modelId;
    try {
      const entry = this.#models.get(modelId);
      if (!entry) throw this.#unknown(modelId);
      const shared = { encoders: this.#encoders, memory: this.#memory, prepared: this.#prepared };
      const options = { ...this.#options, ...shared, entry };
      const slot = await loadSlot(options, (part) => this.#options.onLoading?.(part));
      this.#slots.add(slot);
      if (await this.#settle(slot)) this.#open(slot);
      this.#options.onChange?.(slot.model);
      this.#slots.unloadUnused();
    } catch (error) {
      this.#waiters.refuse(modelId, error);
    } finally {
      this.#waiters.loading = undefined;
      this.#options.onLoading?.(undefined);
    }
  }

  /**
   * Unloads idle models until a new one fits, now that its memory is known.
   * @returns false when the new model was unloaded again, because models in use must be unloaded first.
   * @throws FarmError `model_too_large`.
   */
  async #settle(slot: ModelSlot): Promise<boolean> {
    while (!this.#slots.fit) {
      const other = this.#slots.victim((candidate) => candidate.isIdle && candidate !== slot);
      if (other) {
        await this.#slots.unload(other);
        continue;
      }
      const alone = this.#slots.size === 1;
      const error = this.#slots.tooLarge(slot);
      await this.#slots.unload(slot);
      if (alone) throw error;
      return false;
    }
    return true;
  }

  #open(slot: ModelSlot): void {
    if (slot.state !== 'new') return;
    // The configuration may have changed since the load began.
    slot.state = this.#isCurrent(slot) ? 'open' : 'closed';
    this.#grant(slot);
  }

  #isCurrent({ modelId, entry }: ModelSlot): boolean {
    const configured = this.#models.get(modelId);
    return configured !== undefined && loadsTheSame(configured, entry);
  }

  #closeWhere(isOutdated: (slot: ModelSlot) => boolean): void {
    this.#slots.closeWhere(isOutdated);
    this.#slots.unloadUnused();
    this.#serve();
  }

  #unknown(modelId: string): FarmError {
    const known = [...this.#models.keys()].join(', ') || 'none';
    return new FarmError('model_unknown', `there is no model ${modelId}: configured are ${known}`);
  }

  #whyNotYet(): string {
    const { loading } = this.#waiters;
    return loading ? `model ${loading} is being loaded` : this.#slots.whyNoRoom;
  }
}
