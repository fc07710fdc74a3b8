/** What a model is made of, as a hash: two models of one hash make the same frames of the same sound. */

import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { logged } from '../../shared/process/unheard.ts';
import { deviceName } from '../onnx/device-name.ts';
import { outputOf } from '../onnx/system-tools.ts';
import type { PictureKeys } from '../prepared/picture-keys.ts';
import { versionOf } from './file-fingerprint.ts';

/** The files of a model's networks and how they are run. */
export interface NetworkFacts {
  /** SHA-256 of each file, in a fixed order. */
  readonly files: readonly string[];
  /** What else decides what they make: from the model's entry, and from this machine. */
  readonly settings: readonly unknown[];
}

export interface VersionedFile {
  readonly path: string;
  /** Before it was read, see `versionOf`. */
  readonly version: string;
}

/** Keys of pictures that are not remembered are learnt while the model is in use. */
export class ModelContent {
  /** Of its networks and what is behind its pictures, for pictures of another origin. */
  readonly networks: string;
  readonly #avatar: PictureKeys;
  readonly #idle: PictureKeys | undefined;
  readonly #backdrop: VersionedFile | undefined;
  #known: { readonly changes: number; readonly id: string | undefined } | undefined;

  /**
   * @param avatar keys of its pictures. @param idle those of its idle clip.
   * @param backdrop the picture behind it, whose hash is among the facts: own footage is seen in front of it as well.
   */
  constructor(facts: NetworkFacts, avatar: PictureKeys, idle?: PictureKeys, backdrop?: VersionedFile) {
    this.networks = hashOf(facts);
    this.#backdrop = backdrop;
    this.#avatar = avatar;
    this.#idle = idle;
  }

  /** Of networks and pictures; undefined until the files of all pictures have been read. */
  get id(): string | undefined {
    const changes = this.#avatar.changes + (this.#idle?.changes ?? 0);
    if (this.#known?.changes !== changes) {
      const keys = [this.#avatar.all, this.#idle ? this.#idle.all : []];
      this.#known = { changes, id: keys.includes(undefined) ? undefined : hashOf([this.networks, keys]) };
    }
    return this.#known?.id;
  }

  /** Reads what has to be read for the hash. Never rejects: a picture that cannot be read leaves it unknown. */
  async learn(signal: AbortSignal): Promise<void> {
    const unknown = logged('the content of a model stays unknown, so its segments are not kept');
    for (const keys of [this.#avatar, ...(this.#idle ? [this.#idle] : [])]) {
      for (let index = 0; index < keys.count && !signal.aborted; index++) {
        const isLearnt = await keys.learn(index).then(() => true, unknown);
        if (!isLearnt) return;
      }
    }
  }

  /** The same of what pictures of another origin are seen in front of. */
  async isOfFootage(): Promise<boolean> {
    return this.#backdrop === undefined || (await versionOf(this.#backdrop.path)) === this.#backdrop.version;
  }

  /**
   * Whether the files of these pictures are still those that the hash was made of.
   * @param withIdle whether those of the idle clip must be, too.
   */
  async isOf(pictures: Iterable<number>, withIdle: boolean): Promise<boolean> {
    for (const index of pictures) if (!(await this.#avatar.isUnchanged(index))) return false;
    const clip = withIdle ? this.#idle : undefined;
    for (let index = 0; index < (clip?.count ?? 0); index++) if (!(await clip?.isUnchanged(index))) return false;
    return true;
  }
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}

/** Versions of what computes and encodes; package.json names each exactly. */
const { dependencies } = createRequire(import.meta.url)('../../package.json') as {
  dependencies: Readonly<Record<string, string>>;
};
const LIBRARIES = ['onnxruntime-node', 'sharp'].map((name) => `${name} ${dependencies[name]}`);

/**
 * What the bytes of frames may depend on besides a model: the processor or GPU, and the versions of what computes and
 * encodes. @param provider that the networks run on.
 */
export async function machineOf(provider: string): Promise<readonly string[]> {
  ffmpegVersion ??= outputOf('ffmpeg', ['-version']);
  const ffmpeg = (await ffmpegVersion)?.split('\n')[0] ?? '';
  return [process.platform, process.arch, provider, await deviceName(provider), ffmpeg, ...LIBRARIES];
}

/** Asked once in a process. */
let ffmpegVersion: Promise<string | undefined> | undefined;
