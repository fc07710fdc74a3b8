import { filesOf, type ModelConfig } from '../../shared/config/model-config.ts';
import { extractPictures } from '../avatar/avatar.ts';
import { versionOf } from './file-fingerprint.ts';
import { type LoadedModel, type LoadModelOptions, loadModel } from './loaded-model.ts';

/** A segment holds its model for long; live requests and explicit loads let go of it soon. */
export type UseKind = 'segment' | 'live' | 'load';

/**
 * Whether new uses are let in. `new`: not yet, it may be found too large. `open`: all. `retiring`: only those that do not make its users' end come later, since it is to go when
 * they are done. `closed`: none, since it is going or made from files that are no longer the configured ones.
 */
export type SlotState = 'new' | 'open' | 'retiring' | 'closed';

/** A hold on a model: it stays in memory until this is disposed of. */
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
  /** Of its files, as they were when its load began. */
  readonly versions: string;
  state: SlotState = 'new';
  idleSinceMs = Date.now();
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

  /** Whether a new use may join. While a segment holds a retiring model, short uses make nobody wait for longer. */
  admits(kind: UseKind): boolean {
    return this.state === 'open' || (this.state === 'retiring' && this.hasSegment && kind !== 'segment');
  }

  /**
   * Counts a user until the use is disposed of.
   * @param waitedMs how long it waited; 0 when it did not have to.
   * @param onEnd told when this use ends.
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

  /** Ends the model's sessions; nobody may be using it. Calls after the first wait for the same end. */
  release(): Promise<void> {
    this.state = 'closed';
    this.#released ??= this.model.release();
    return this.#released;
  }

  #count(kind: UseKind, by: number): void {
    this.#users += by;
    if (kind === 'segment') this.#segments += by;
    if (this.isIdle) this.idleSinceMs = Date.now();
  }
}

/** Loads a model into a slot of its own. @throws as loadModel does. */
export async function loadSlot(options: LoadModelOptions): Promise<ModelSlot> {
  const { entry } = options;
  // Pictures that come out of a video now are no change of the files.
  await extractPictures(entry);
  const versions = await versionsOf(entry);
  return new ModelSlot(await loadModel(options), entry, versions);
}

/** Which versions of a model's files are there now. */
export async function versionsOf(entry: ModelConfig): Promise<string> {
  return (await Promise.all(filesOf(entry).map(versionOf))).join('\n');
}
