import type { Duplex, Readable } from 'node:stream';
import type { RenderFolder } from '../retention/leftover.ts';
import type { ResumableUploads } from './resumable-uploads.ts';

/** A file of the store, as a list has it. */
export interface StoredFile {
  readonly key: string;
  readonly bytes: number;
  /** Since it was last written or touched, by the clock of the store. */
  readonly quietMs: number;
}

/** Files of the store on this machine, to be read by programs of others. They are good until it is disposed of. */
export interface LocalFiles extends AsyncDisposable {
  /** Where the file, or folder, of this key is. Two keys lie to each other as in the store. */
  path(key: string): string;
}

/** A file of the store, of which parts are read in any order. */
export interface OpenFile extends AsyncDisposable {
  readonly sizeBytes: number;
  /** Fills `into` from the byte `position` on; returns the number of bytes, which is lower at the end only. */
  read(into: Uint8Array, position: number): Promise<number>;
}

/** Bytes [start, end] of a file, both inclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Where files of renders live. All processes of a farm see the same store. A key is a path with "/"; a folder is there
 * as long as a file is in it. Faults of the store are FarmError: `storage_failed`, `storage_full`, and of a bucket also
 * `storage_denied`, `storage_misconfigured`, `clock_wrong`.
 */
export interface ArtifactStore {
  /**
   * Publishes one file: `write` fills the path that it is given, and the file appears under `key` when it is complete,
   * or not at all. A second publisher of the same key replaces the file in one step.
   */
  publish<T>(key: string, write: (path: string) => Promise<T>): Promise<T>;
  /** The same for a small file whose bytes are there already. */
  put(key: string, content: Uint8Array | string): Promise<void>;
  /** The same for bytes that come, and pass `through`. When either fails nothing is left, and its error is thrown. */
  receive(key: string, content: Readable, through: Duplex): Promise<void>;
  /**
   * Publishes the files of a folder that `write` makes at the path it is given, where nothing is. They may appear one
   * by one: publish another file behind them that says that all are there.
   */
  publishFolder<T>(key: string, write: (folder: string) => Promise<T>): Promise<T>;
  /**
   * Has files of the store on this machine, each whole.
   * @param keys of files that are there; `folders`, of which all files come.
   * @throws FarmError `storage_failed` when one is not there.
   */
  checkOut(keys: readonly string[], options?: CheckOut): Promise<LocalFiles>;
  /** Opens a file, to read parts of it. FarmError `storage_failed` when it is not there. */
  open(key: string): Promise<OpenFile>;
  /** Size in bytes, or undefined when there is no such file. */
  size(key: string): Promise<number | undefined>;
  /** All bytes of a small file, or undefined when there is no such file. */
  contents(key: string): Promise<Buffer | undefined>;
  /** The file's bytes, or a range of them. */
  read(key: string, range?: ByteRange): Readable;
  /** The files below a folder, at any depth, in no order. Drafts of others may be among them, with hidden names. */
  list(folder: string): AsyncIterable<StoredFile>;
  /** Says that a file is still wanted: it counts as just written. Nothing for one that is not there. */
  touch(key: string): Promise<void>;
  /**
   * Makes `to` a file with the bytes of `from`, in one step, and without a second copy of them where the store can. No
   * file is ever written in place, so neither changes with the other. False when there is no `from`.
   */
  copy(from: string, to: string): Promise<boolean>;
  /** Removes a file, or a folder with its contents; does nothing when there is none. */
  remove(key: string): Promise<void>;
  /** Writes, reads and removes a small file of its own, and throws what is wrong with the store. */
  probe(): Promise<void>;
  /** Uploads that clients bring here themselves, part by part; undefined where the store takes none. */
  readonly resumable: ResumableUploads | undefined;
  /** The folders of renders, with what is in them. */
  renderFolders(): Promise<RenderFolder[]>;
  /** An address at which anybody may read the file for a while; undefined where the store gives out none. */
  addressOf(
    key: string,
    answer: { readonly contentType: string; readonly disposition: string },
  ): Promise<string | undefined>;
}

export interface CheckOut {
  readonly folders?: readonly string[];
  /** Ends it; its reason is thrown. */
  readonly signal?: AbortSignal;
}
