/** The prepared avatars of one thread: where their files are, and whose turn it is to be prepared. */

import { join } from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { unexpected } from '../../shared/process/unheard.ts';
import { DAY_MS } from '../../shared/units.ts';
import { BackdropReader } from '../avatar/backdrop.ts';
import { Compositor } from '../compositor/compositor.ts';
import { LARGEST_SIDE, type PictureSize } from '../compositor/contract.ts';
import type { NetworkSize } from '../pipeline/contract.ts';
import { ContentHashes } from './content-hashes.ts';
import type { AvatarSources } from './contract.ts';
import { PictureMemory } from './picture-memory.ts';
import { type PreparationLog, prepareAvatar } from './prepare-avatar.ts';
import { PICTURE_SUFFIX, PreparedFiles } from './prepared-files.ts';
import { MOUTHS_SUFFIX, type MouthRecipe, PreparedMouths } from './prepared-mouths.ts';
import { PreparedPictures } from './prepared-pictures.ts';
import { ALPHA_PLANE, PLANES_SUFFIX, PreparedPlanes, yuvPlanes } from './prepared-planes.ts';

/** How avatars are prepared, the same for all models. */
export interface PreparingSettings {
  /** Folder of the prepared pictures. */
  readonly folder: string;
  /** JPEG quality of the prepared pictures, 1–100. */
  readonly quality: number;
  /** Processes that prepare pictures at the same time; 0: none, every picture is prepared when it is needed. */
  readonly processes: number;
  /** False: planes are made each time they are needed, and not kept in files. */
  readonly keepsPlanes?: boolean;
  /** What its files leave free on their disk; absent: nothing. */
  readonly reserveGb?: number;
}

export interface OpenPrepared {
  readonly pictures: PreparedPictures;
  /** Its mouths of silence, as a model makes them. */
  mouths(recipe: MouthRecipe): PreparedMouths;
  /** Ends its preparation and waits for the end. What was prepared stays. Calling it again does nothing. */
  release(): Promise<void>;
}

/** Below this folder of prepared pictures lies what their sources hash to. */
const HASHES = 'hashes';
/** How often the files of a loaded avatar are marked as used: retention counts in days. */
const IN_USE_EVERY_MS = DAY_MS / 2;
/** Two pictures of 1280×720 take as long as the start of a process. */
const FEW_PIXELS = 2e6;
const SILENT: PreparationLog = { info() {}, warn() {} };

/** Avatars are prepared one after the other, in the order in which they were opened. */
export class PreparedAvatars {
  readonly #settings: PreparingSettings;
  readonly #cachedFrames: number;
  readonly #log: PreparationLog;
  readonly #files: PreparedFiles;
  /** Of this thread. */
  readonly compositor = new Compositor();
  readonly #backdrops = new BackdropReader();
  readonly #memory = new PictureMemory();
  #turns: Promise<void> = Promise.resolve();

  /** @param cachedFrames pictures of each avatar that are kept in memory, ≥ 1. */
  constructor(settings: PreparingSettings, cachedFrames: number, log: PreparationLog = SILENT) {
    this.#settings = settings;
    this.#cachedFrames = cachedFrames;
    this.#log = log;
    this.#files = this.#filesOf(PICTURE_SUFFIX);
  }

  /** Tells the log what is not as a model's owner will expect it. */
  warn(modelId: string, text: string | undefined): void {
    if (text !== undefined) this.#log.warn({ model: modelId }, text);
  }

  /**
   * Finds what is prepared of an avatar, and has the rest prepared beside all other work.
   * @param side of the network's picture.
   * @throws FarmError `model_unusable` for pictures that are too large, or a backdrop that cannot be read.
   */
  async open(modelId: string, avatar: AvatarSources, side: NetworkSize): Promise<OpenPrepared> {
    const { folder, quality, processes, keepsPlanes = true, reserveGb } = this.#settings;
    checkSize(modelId, avatar.size);
    const backdrop = avatar.backdrop && (await this.#backdrops.open(avatar.backdrop, avatar.size));
    const hashes = new ContentHashes(join(folder, HASHES));
    const planeFiles = keepsPlanes ? this.#filesOf(PLANES_SUFFIX) : undefined;
    const pictures = await PreparedPictures.open({
      ...{ avatar, side, quality, hashes, files: this.#files, compositor: this.compositor },
      ...{ cachedFrames: this.#cachedFrames, memory: this.#memory },
      ...{ backdrop, backdrops: this.#backdrops },
      planes: new PreparedPlanes(avatar, yuvPlanes(backdrop), planeFiles, hashes),
      alpha: new PreparedPlanes(avatar, ALPHA_PLANE, planeFiles, hashes),
    });
    const ended = new AbortController();
    let work = Promise.resolve();
    const begin = async () => {
      if (ended.signal.aborted) return;
      work = prepareAvatar(
        pictures,
        { modelId, folder, reserveGb, processes, fewPixels: FEW_PIXELS, log: this.#log },
        ended.signal,
      );
      await work;
    };
    if (processes > 0) {
      this.#turns = this.#turns.then(begin);
      this.#turns.catch(unexpected);
    }
    const inUse = setInterval(() => pictures.touch().catch(unexpected), IN_USE_EVERY_MS).unref();
    const release = async () => {
      clearInterval(inUse);
      ended.abort();
      await work;
      await pictures.saveHashes();
    };
    const mouthFiles = this.#filesOf(MOUTHS_SUFFIX);
    return { pictures, mouths: (recipe) => new PreparedMouths(mouthFiles, pictures, recipe), release };
  }

  #filesOf(suffix: string): PreparedFiles {
    return new PreparedFiles(this.#settings.folder, suffix, this.#settings.reserveGb);
  }
}

function checkSize(modelId: string, { width, height }: PictureSize): void {
  if (Math.max(width, height) <= LARGEST_SIDE) return;
  const got = `the pictures of model ${modelId} are ${width}×${height}`;
  throw new FarmError('model_unusable', `${got}: expected at most ${LARGEST_SIDE} pixels on either side`);
}
