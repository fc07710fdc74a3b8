/** The models of one GPU process: loaded when they are asked for, unloaded when others need their place. */

import { loadsTheSame, type ModelConfig } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors.ts';
import type { LoadedModelState } from '../../shared/heartbeat.ts';
import type { RunSettings } from '../onnx/onnx-model.ts';
import { chooseVictim, type UseCount } from './eviction.ts';
import type { LoadedModel } from './loaded-model.ts';
import { MemoryProbe } from './memory-probe.ts';
import { fits, type ModelLimits, memoryOf, tooLarge, whyNoRoom } from './model-limits.ts';
import { loadSlot, type ModelSlot, type ModelUse, type UseKind, versionsOf } from './model-slot.ts';
import { ModelWaiters, type UseOptions } from './model-waiters.ts';
import { SharedEncoders } from './shared-encoders.ts';

export interface ModelRegistryOptions extends RunSettings {
  /** Every configured model by its id. */
  readonly models: ReadonlyMap<string, ModelConfig>;
  /** Background pictures that each model keeps in memory, ≥ 1. */
  readonly cachedFrames: number;
  readonly limits: ModelLimits;
  /** Told whenever a model was loaded, and which, or unloaded. */
  readonly onChange?: (loaded?: LoadedModel) => void;
}

const SWEEPS_PER_TIMEOUT = 4;
const LONGEST_SWEEP_MS = 30_000;
const NEVER_USED: UseCount = { uses: 0, lastUsedAtMs: 0 };

/**
 * Invariants: never more than `maxModels` in memory; a model in use is never unloaded; loads come one after the other,
 * in the order of asking, so that each can be measured and nobody waits for ever. Whoever waits holds nothing, so no
 * two wait for each other. While somebody waits for room one model takes no newcomers that would keep it longer: its
 * users come to an end, and it makes room. A load that fails leaves nothing behind.
 */
export class ModelRegistry {
  readonly #options: ModelRegistryOptions;
  readonly #memory: MemoryProbe;
  readonly #encoders: SharedEncoders;
  readonly #slots = new Set<ModelSlot>();
  readonly #waiters: ModelWaiters;
  readonly #counts = new Map<string, UseCount>();
  /** What a model took when it was last loaded, in bytes. */
  readonly #lastBytes = new Map<string, number>();
  readonly #sweeper: NodeJS.Timeout;
  #models: ReadonlyMap<string, ModelConfig>;
  #serving = Promise.resolve();
  #isServing = false;
  #serveAgain = false;
  /** In use, and the next to go because somebody waits for room. */
  #makingRoom: ModelSlot | undefined;

  constructor(options: ModelRegistryOptions) {
    this.#options = options;
    this.#models = options.models;
    this.#memory = new MemoryProbe(options.providers);
    this.#encoders = new SharedEncoders(options, this.#memory);
    this.#waiters = new ModelWaiters(
      () => this.#serve(),
      () => this.#whyNotYet(),
    );
    const sweepMs = Math.min(options.limits.idleTimeoutMs / SWEEPS_PER_TIMEOUT, LONGEST_SWEEP_MS);
    this.#sweeper = setInterval(() => this.#unloadUnused(), sweepMs).unref();
  }

  /**
   * The model, loaded if it is not, and in memory until the use is disposed of.
   * @throws FarmError `model_unknown`; `model_too_large` when it alone passes the memory limit; `deadline_exceeded` after
   * `options.untilMs`; as loadModel does. `options.signal.reason` when that is aborted first.
   */
  async use(modelId: string, options: UseOptions): Promise<ModelUse> {
    options.signal.throwIfAborted();
    if (!this.#models.has(modelId)) throw this.#unknown(modelId);
    const slot = this.#slotFor(modelId, options.kind);
    if (slot) return this.#use(slot, options.kind, 0);
    const granted = this.#waiters.add(modelId, options);
    this.#serve();
    return await granted;
  }

  /** What is in memory, by model id, with what it takes now. */
  loaded(): Map<string, LoadedModelState> {
    // A model that closes may stand beside the one that follows it; the later one speaks for the id.
    return new Map(
      [...this.#slots].map(({ modelId, model }) => {
        const { loadMs, msPerFrame, loadedAtMs, memoryBytes } = model;
        return [modelId, { loadMs, msPerFrame, loadedAtMs, memoryBytes }];
      }),
    );
  }

  /** Memory that the models take in all, in bytes, and the part of it that is this process's own. */
  memory(): ReturnType<typeof memoryOf> {
    return memoryOf(this.#slots);
  }

  /** Unloads a model as soon as its users are done. Who asks for it from now on gets it loaded anew, after that. */
  unload(modelId: string): void {
    for (const slot of this.#slots) {
      if (slot.modelId !== modelId) continue;
      if (slot.state === 'open') slot.state = 'retiring';
      // It goes in any case now, whoever waits for room.
      if (slot === this.#makingRoom) this.#makingRoom = undefined;
    }
    this.#unloadUnused();
  }

  /**
   * Replaces the configured models. A model whose entry or files have changed, or that is no longer there, is unloaded
   * when its users are done; new requests get the new one.
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

  /** Refuses who still waits, waits for the load in progress, and unloads everything. Nothing may be in use. */
  async close(): Promise<void> {
    clearInterval(this.#sweeper);
    this.#waiters.clear(new FarmError('farm_draining', 'The worker ends'));
    await this.#serving;
    await Promise.all([...this.#slots].map((slot) => this.#unload(slot)));
  }

  #use(slot: ModelSlot, kind: UseKind, waitedMs: number): ModelUse {
    const { uses } = this.#countOf(slot);
    this.#counts.set(slot.modelId, { uses: uses + (kind === 'load' ? 0 : 1), lastUsedAtMs: Date.now() });
    return slot.use(kind, waitedMs, () => {
      this.#unloadUnused();
      this.#serve();
    });
  }

  #slotFor(modelId: string, kind: UseKind): ModelSlot | undefined {
    return [...this.#slots].find((slot) => slot.modelId === modelId && slot.admits(kind));
  }

  /** Looks after those who wait; called when something has changed for them. */
  #serve(): void {
    this.#serveAgain = true;
    if (!this.#isServing) this.#serving = this.#serveAll();
  }

  async #serveAll(): Promise<void> {
    this.#isServing = true;
    while (this.#serveAgain) {
      this.#serveAgain = false;
      this.#letIn();
      for (let first = this.#waiters.first; first; first = this.#waiters.first) {
        const ready = this.#slotFor(first.modelId, first.kind);
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

  /** Whoever was to make room need not: it is seen anew who waits for what. */
  #letIn(): void {
    if (this.#makingRoom?.state === 'retiring') this.#makingRoom.state = 'open';
    this.#makingRoom = undefined;
  }

  /** Unloads idle models until another one fits. False when it has to wait for models in use. */
  async #makeRoom(modelId: string): Promise<boolean> {
    const { limits } = this.#options;
    for (;;) {
      // One that is to go at its users' end goes before it comes back.
      if ([...this.#slots].some((slot) => slot.modelId === modelId && slot.state === 'retiring')) return false;
      if (this.#slots.size === 0 || fits(this.#slots, limits, 1, this.#lastBytes.get(modelId))) return true;
      const victim = this.#victim(({ isIdle }) => isIdle);
      if (victim) {
        await this.#unload(victim);
        continue;
      }
      const open = (slot: ModelSlot) => slot.state === 'open';
      this.#makingRoom = this.#victim((slot) => open(slot) && !slot.hasSegment) ?? this.#victim(open);
      if (this.#makingRoom) this.#makingRoom.state = 'retiring';
      this.#waiters.refuseOverdue();
      return false;
    }
  }

  #victim(may: (slot: ModelSlot) => boolean): ModelSlot | undefined {
    const { evictionPolicy } = this.#options.limits;
    return chooseVictim([...this.#slots].filter(may), (slot) => this.#countOf(slot), evictionPolicy);
  }

  #countOf({ modelId }: ModelSlot): UseCount {
    return this.#counts.get(modelId) ?? NEVER_USED;
  }

  async #load(modelId: string): Promise<void> {
    this.#waiters.loading = modelId;
    try {
      const entry = this.#models.get(modelId);
      if (!entry) throw this.#unknown(modelId);
      const slot = await loadSlot({ ...this.#options, entry, encoders: this.#encoders, memory: this.#memory });
      this.#slots.add(slot);
      if (await this.#settle(slot)) this.#open(slot);
      this.#options.onChange?.(slot.model);
      this.#unloadUnused();
    } catch (error) {
      this.#waiters.refuse(modelId, error);
    } finally {
      this.#waiters.loading = undefined;
    }
  }

  /**
   * Holds a new model against the memory limit, now that it is known what it takes.
   * @returns false when it has to go again and wait for models in use to go first.
   * @throws FarmError `model_too_large`.
   */
  async #settle(slot: ModelSlot): Promise<boolean> {
    this.#lastBytes.set(slot.modelId, slot.model.memoryBytes);
    while (!fits(this.#slots, this.#options.limits)) {
      const other = this.#victim((candidate) => candidate.isIdle && candidate !== slot);
      if (other) {
        await this.#unload(other);
        continue;
      }
      const alone = this.#slots.size === 1;
      const error = tooLarge(slot, this.#options.limits);
      await this.#unload(slot);
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
    for (const slot of this.#slots) {
      if (!isOutdated(slot)) continue;
      slot.state = 'closed';
      this.#lastBytes.delete(slot.modelId);
    }
    this.#unloadUnused();
    this.#serve();
  }

  /** Unloads what nobody uses and has no reason to stay: it is to go, idle for too long, or over the memory limit. */
  #unloadUnused(): void {
    const unusedSinceMs = Date.now() - this.#options.limits.idleTimeoutMs;
    for (const slot of this.#slots) {
      const isToGo = slot.state === 'retiring' || slot.state === 'closed';
      const isUnused = slot.state === 'open' && slot.idleSinceMs <= unusedSinceMs;
      if (slot.isIdle && (isToGo || isUnused)) void this.#unload(slot);
    }
    // Pictures that came into memory since the load count, too.
    const over =
      !fits(this.#slots, this.#options.limits) && this.#victim(({ isIdle, state }) => isIdle && state === 'open');
    if (over) void this.#unload(over).then(() => this.#unloadUnused());
  }

  async #unload(slot: ModelSlot): Promise<void> {
    // What cannot be released is as good as gone: nothing more can be done about it here.
    await slot.release().catch(() => {});
    if (!this.#slots.delete(slot)) return;
    this.#options.onChange?.();
    this.#serve();
  }

  #unknown(modelId: string): FarmError {
    const known = [...this.#models.keys()].join(', ') || 'none';
    return new FarmError('model_unknown', `there is no model ${modelId}: configured are ${known}`);
  }

  #whyNotYet(): string {
    const { loading } = this.#waiters;
    return loading ? `model ${loading} is being loaded` : whyNoRoom(this.#slots, this.#options.limits);
  }
}
