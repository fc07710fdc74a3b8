import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, link, mkdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { FarmError } from './errors.ts';
import { ifMissing, ignored } from './process/unheard.ts';
import { formOf, type Output } from './renders/outputs.ts';

/** Names of the files of a render, relative to the store. */
export const artifactKeys = {
  folder: (renderId: string) => `renders/${renderId}`,
  upload: (renderId: string) => `renders/${renderId}/upload`,
  /** Own footage as it was uploaded: the video, and where the mouth is in its frames. */
  footageVideo: (renderId: string) => `renders/${renderId}/footage-video`,
  footageMarks: (renderId: string) => `renders/${renderId}/footage-marks`,
  /** What is made of it: its pictures, their crop rects, their prepared forms. The rects come last. */
  footageFolder: (renderId: string) => `renders/${renderId}/footage`,
  footagePictures: (renderId: string) => `renders/${renderId}/footage/pictures`,
  footageRects: (renderId: string) => `renders/${renderId}/footage/crop_rects.json`,
  footagePrepared: (renderId: string) => `renders/${renderId}/footage/prepared`,
  /** 16 kHz mono float32, little-endian, no header. */
  samples: (renderId: string) => `renders/${renderId}/audio.f32`,
  /**
   * The sound of the video: 16-bit at the upload's own rate, little-endian, no header; the plan says how to read it.
   */
  sound: (renderId: string) => `renders/${renderId}/sound.s16`,
  /** Of a render with a silence gate: how much of a voice each frame hears, a digit each. */
  voices: (renderId: string) => `renders/${renderId}/voices`,
  segmentFolder: (renderId: string) => `renders/${renderId}/segments`,
  segmentVideo: (renderId: string, segmentIndex: number, output: Output = 'mp4') =>
    `renders/${renderId}/segments/${padded(segmentIndex)}.${formOf(output).extension}`,
  /** Names the segments in their order; lies beside them. */
  segmentList: (renderId: string) => `renders/${renderId}/segments/all.ffconcat`,
  /** The sound as it is in the video, in a file of its own; goes with the segments. */
  soundtrack: (renderId: string, output: Output = 'mp4') =>
    `renders/${renderId}/segments/sound.${formOf(output).extension}`,
  frame: (renderId: string, frameIndex: number, output: Output = 'frames') =>
    `renders/${renderId}/frames/${padded(frameIndex)}.${formOf(output).extension}`,
  video: (renderId: string, output: Output = 'mp4') => `renders/${renderId}/video.${formOf(output).extension}`,
  /** The latest picture, while the render runs. */
  preview: (renderId: string) => `renders/${renderId}/preview.jpg`,
  receipt: (renderId: string) => `renders/${renderId}/receipt.json`,
  /** What was measured of a segment's frames; goes with the segments. */
  segmentMeasures: (renderId: string, segmentIndex: number) =>
    `renders/${renderId}/segments/${padded(segmentIndex)}.measures.json`,
  /** One frame for the contact sheet; goes with the segments. */
  tile: (renderId: string, frameIndex: number) => `renders/${renderId}/segments/tile-${padded(frameIndex)}.jpg`,
  contactSheet: (renderId: string) => `renders/${renderId}/contact-sheet.jpg`,
  waveform: (renderId: string) => `renders/${renderId}/waveform.svg`,
  waterfall: (renderId: string) => `renders/${renderId}/waterfall.svg`,
  /** Empty: somebody wants the render removed, so without a record this is no result. */
  unwanted: (renderId: string) => `renders/${renderId}/.unwanted`,
};

/** Folder of the segments that are kept for later renders (shared/segments/). */
const KEPT = 'segment-cache';
/** Names of what is kept of a segment, by the key of its content. */
export const keptKeys = {
  all: KEPT,
  segment: (key: string) => `${KEPT}/${key.slice(0, 2)}/${key}`,
  file: (key: string, name: string) => `${KEPT}/${key.slice(0, 2)}/${key}/${name}`,
};

function padded(index: number): string {
  return String(index).padStart(6, '0');
}

/** Where files of renders live. All processes of a farm see the same store. */
export interface ArtifactStore {
  /**
   * Publishes one file: `write` fills the path that it is given, and the file appears under `key` when it is complete,
   * or not at all. A second publisher of the same key replaces the file in one step.
   */
  publish<T>(key: string, write: (path: string) => Promise<T>): Promise<T>;
  /**
   * Makes `to` a file with the bytes of `from`, in one step, and without a second copy of them where the store can. No
   * file is ever written in place, so neither changes with the other. False when there is no `from`.
   */
  copy(from: string, to: string): Promise<boolean>;
  /** A local path where the file can be read; the file may not exist. */
  localPath(key: string): string;
  /** Size in bytes, or undefined when there is no such file. */
  size(key: string): Promise<number | undefined>;
  /** Bytes [start, end] of the file, both inclusive. */
  read(key: string, range?: { start: number; end: number }): Readable;
  /** Removes a file, or a folder with its contents in one step; does nothing when there is none. */
  remove(key: string): Promise<void>;
}

/** Files under a folder that all processes of the farm share. */
export class LocalArtifacts implements ArtifactStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = path.resolve(root);
  }

  async publish<T>(key: string, write: (path: string) => Promise<T>): Promise<T> {
    const target = this.localPath(key);
    const { dir, name, ext } = path.parse(target);
    // The extension must stay last: ffmpeg chooses the container by it.
    const draft = path.join(dir, `.${name}.${randomUUID()}${ext}`);
    try {
      await mkdir(dir, { recursive: true });
      const result = await write(draft);
      await rename(draft, target);
      return result;
    } catch (error) {
      await rm(draft, { force: true }).catch(ignored('what is wrong is said by the error before it'));
      throw isFileFault(error) ? unwritable(key, error) : error;
    }
  }

  async copy(from: string, to: string): Promise<boolean> {
    const [source, target] = [this.localPath(from), this.localPath(to)];
    const draft = path.join(path.dirname(target), `.${path.basename(target)}.${randomUUID()}`);
    try {
      await mkdir(path.dirname(target), { recursive: true });
      await linkOrCopy(source, draft);
      await rename(draft, target);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && (await this.size(from)) === undefined) return false;
      throw isFileFault(error) ? unwritable(to, error) : error;
    } finally {
      // Of two names of one file, rename() leaves both.
      await rm(draft, { force: true }).catch(ignored('a hidden file, which retention removes'));
    }
  }

  localPath(key: string): string {
    const target = path.resolve(this.#root, key);
    if (!target.startsWith(this.#root + path.sep)) throw new RangeError(`Artifact key leaves the store: ${key}`);
    return target;
  }

  async size(key: string): Promise<number | undefined> {
    const found = await stat(this.localPath(key)).catch(ifMissing());
    return found?.isFile() ? found.size : undefined;
  }

  read(key: string, range?: { start: number; end: number }): Readable {
    return createReadStream(this.localPath(key), range ?? {});
  }

  async remove(key: string): Promise<void> {
    const target = this.localPath(key);
    const found = await stat(target).catch(ignored('what cannot be seen is removed as a file, which says why'));
    if (!found?.isDirectory()) return await rm(target, { force: true });
    // It is gone in one step: should this process die meanwhile, what is left has a hidden name.
    const { dir, base } = path.parse(target);
    const aside = path.join(dir, `.${base}.${randomUUID()}`);
    await rename(target, aside).catch((error: NodeJS.ErrnoException) => {
      // Another process has removed it.
      if (error.code !== 'ENOENT') throw error;
    });
    await rm(aside, { recursive: true, force: true });
  }
}

/** Where a file cannot have two names (another disk, a drive without links, too many of them) it is copied. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
    await copyFile(from, to);
  }
}

function isFileFault(error: unknown): error is Error {
  return error instanceof Error && !(error instanceof FarmError) && 'syscall' in error;
}

/** Whatever the operating system refuses here is a fault of the store: nobody else chose the place. */
function unwritable(key: string, error: Error): FarmError {
  const { code } = FarmError.from(error, 'storage_failed');
  return new FarmError(code, `Could not write ${key}: ${error.message}`, { cause: error });
}
