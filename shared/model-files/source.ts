import type { Readable } from 'node:stream';

/** What a server says of a file before its bytes come. */
export interface RemoteFacts {
  /** Undefined when it does not say. */
  readonly bytes: number | undefined;
  /** Another one for other bytes, as far as the server tells: its ETag, or when it was changed; "": it says nothing. */
  readonly tag: string;
}

/** A file that begins to come. */
export interface OpenedFile extends RemoteFacts {
  /** How many of its bytes come not, since they are here already. */
  readonly from: number;
  readonly body: Readable;
}

/** A part of a file that was read before. */
export interface BegunFile {
  readonly tag: string;
  readonly bytes: number;
}

/** One of several in a folder. */
export interface FolderEntry {
  readonly name: string;
  readonly address: string;
  readonly bytes: number;
  readonly tag: string;
}

/** Servers that files of models come from. Methods throw FarmError `model_file_missing`, `model_unreachable`, `address_refused`. */
export interface Source {
  /**
   * Begins to read a file.
   * @param known tag of what is here already: undefined is returned when it is still the same.
   * @param begun of this file the rest comes, where it is still the same.
   */
  open(
    address: string,
    known: string | undefined,
    begun: BegunFile | undefined,
    signal: AbortSignal,
  ): Promise<OpenedFile | undefined>;
}
