import { filesOf, type ModelConfig } from '../../shared/config/model-config.ts';
import { extractPictures } from '../avatar/avatar.ts';
import { versionOf, weightsBeside } from './file-fingerprint.ts';
import { type LoadedModel, type LoadModelOptions, loadModel } from './loaded-model.ts';

/** A segment uses its model for long; live requests and explicit loads use it briefly. */
export type UseKind = 'segment' | 'live' | 'load';

/**
 * Which new uses are admitted. `new`: none yet, since the model may prove too large. `open`: all. `retiring`: only
 * brief ones while a segment uses it, since it is unloaded as soon as all uses have ended. `closed`: none, since it is
 * being unloaded, or was loaded from files or an entry that have changed.
 */
export type SlotState = 'new' | 'open' | 'retiring' | 'closed';

/** A use of a model, which stays in memory until the use is disposed of. */
export interface ModelUse extends Disposable {
  readonly model: LoadedModel;
  readonly wasLoaded: boolean;
  /** How long the caller waited for it, room and load together, in ms; 0 when it was loaded. */
  readonly waitedMs: number;
}

/** A model in memory, with its users. */
export class ModelSlot {
  readonly model: LoadedModel;
  /** What it was loaded from. */
  readonly entry: ModelConfig;
  /** Versions of its files when its load began. */
  readonly versions: string;
  state: SlotState = 'new';
  /** By performance.now(). */
  idleSinceMs = performance.now();
  #users = 0;
  #segments = 0;
  #released: Promise<void> | undefined;

  constructor(model: LoadedModel, entry: ModelConfig, versions: string) {
    this.model = model;
    this.entry = entry;
    this.versions = versions;
  }

  get modelId(): string {
    return this.model.modelId;
  }

  get isIdle(): boolean {
    return this.#users === 0;
  }

  get hasSegment(): boolean {
    return this.#segments > 0;
  }

  /**
   * Whether a new use may join. A brief use of a retiring model ends before the segment that keeps it, so it is
   * admitted.
   */
  admits(kind: UseKind): boolean {
    return this.state === 'open' || (this.state === 'retiring' && this.hasSegment && kind !== 'segment');
  }

  /**
   * Counts a user until the use is disposed of.
   * @param waitedMs how long it waited; 0 when it did not have to.
   * @param onEnd called when this use ends.
   */
  use(kind: UseKind, waitedMs: number, onEnd: () => void): ModelUse {
    let inUse = true;
    this.#count(kind, 1);
    return {
      model: this.model,
      wasLoaded: waitedMs === 0,
      waitedMs,
      [Symbol.dispose]: () => {
        if (!inUse) return;
        inUse = false;
        this.#count(kind, -1);
        onEnd();
      },
    };
  }

  /** Ends the model's sessions; it must not be in use. Further calls wait for the same end. */
  release(): Promise<void> {
    this.state = 'closed';
    this.#released ??= this.model.release();
    return this.#released;
  }

  #count(kind: UseKind, by: number): void {
    this.#users += by;
    if (kind === 'segment') this.#segments += by;
    if (this.isIdle) this.idleSinceMs = performance.now();
  }
}

/** Taking pictures out of videos may take an hour, opening files minutes. */
export type LoadPart = 'extracting' | 'opening';

/** Loads a model into a slot of its own, and says which part begins. @throws as loadModel does. */
export async function loadSlot(options: LoadModelOptions, onPart: (part: LoadPart) => void): Promise<ModelSlot> {
  const { entry } = options;
  onPart('extracting');
  // Extracts pictures before the versions are read: pictures that appear later would look like a change of the files.
  await extractPictures(entry);
  onPart('opening');
  const versions = await versionsOf(entry);
  return new ModelSlot(await loadModel(options), entry, versions);
}

/** Which versions of a model's files are there now. */
export async function versionsOf(entry: ModelConfig): Promise<string> {
  const weights = await Promise.all([entry.modelPath, entry.audioEncoderPath].map(weightsBeside));
  return (await Promise.all([...filesOf(entry), ...weights.flat()].map(versionOf))).join('\n');
}
