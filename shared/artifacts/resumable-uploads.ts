/** A part of an upload that is in the store. */
export interface UploadPart {
  /** From 1. */
  readonly number: number;
  readonly bytes: number;
  /** As the store names its bytes. */
  readonly etag: string;
}

/** What a store does that takes files from clients itself, part by part. All throw FarmError of the store. */
export interface ResumableUploads {
  /** Begins one and returns its id. Until it is completed there is no file. */
  begin(key: string): Promise<string>;
  /** Where anybody may put the bytes of a part for an hour, with one PUT; again, too. */
  addressOf(key: string, uploadId: string, part: number): Promise<string>;
  /** What is there of it, in order; undefined when it was completed or has ended. */
  parts(key: string, uploadId: string): Promise<UploadPart[] | undefined>;
  /** Makes the parts one file. Done again it changes nothing. */
  complete(key: string, uploadId: string, parts: readonly UploadPart[]): Promise<void>;
  /** Ends it, and removes its parts. */
  abort(key: string, uploadId: string): Promise<void>;
  /** The same with all that were begun so long ago, also by processes that were killed; returns how many. */
  abortOld(quietMs: number): Promise<number>;
}
