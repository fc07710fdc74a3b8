import type { ErrorReport } from '../../shared/errors/farm-error.ts';
import type { FoundSources, PictureOrder } from './prepare-picture.ts';

/** All messages between a process that prepares pictures and the thread that has started it. */

export interface ToPreparing {
  readonly order: PictureOrder;
  /** Folder of the prepared pictures. */
  readonly folder: string;
  /** What is to stay free on its disk; absent: nothing. */
  readonly reserveGb?: number | undefined;
}

/** How an order ended; they are done one after the other. */
export type FromPreparing =
  | { readonly type: 'done'; readonly found: FoundSources }
  /** A fault of the picture. */
  | { readonly type: 'unusable'; readonly error: ErrorReport }
  /** The picture could be prepared, and its file could not be written. */
  | { readonly type: 'unwritable'; readonly reason: string };
