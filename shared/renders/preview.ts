import { artifactKeys } from '../artifacts/keys.ts';
import type { ArtifactStore } from '../artifacts/store.ts';

/**
 * The latest picture of a render that runs, a JPEG file beside its other files. Pictures do not pass through Redis. Behind
 * the JPEG, where decoders do not look, the file says which frame it is: a mark, and a uint32, little-endian. Workers of
 * earlier versions left that out, and front ends of earlier versions hand it on.
 */

export interface Preview {
  readonly jpeg: Buffer;
  /** Of the whole render; undefined where the worker did not say. */
  readonly frameIndex: number | undefined;
}

const MARK = Buffer.from('frm1');
const TRAILER_BYTES = MARK.length + 4;

/** Replaces the picture in one step. @param frameIndex of the whole render. */
export async function savePreview(
  artifacts: ArtifactStore,
  renderId: string,
  { jpeg, frameIndex }: { readonly jpeg: Uint8Array; readonly frameIndex: number },
): Promise<void> {
  const index = Buffer.alloc(4);
  index.writeUInt32LE(frameIndex);
  await artifacts.put(artifactKeys.preview(renderId), Buffer.concat([jpeg, MARK, index]));
}

/** Undefined when there is none: no frame is done yet, or the render is complete. */
export async function readPreview(artifacts: ArtifactStore, renderId: string): Promise<Preview | undefined> {
  const bytes = await artifacts.contents(artifactKeys.preview(renderId));
  if (!bytes) return undefined;
  const end = bytes.length - TRAILER_BYTES;
  const isMarked = end > 0 && bytes.subarray(end, end + MARK.length).equals(MARK);
  if (!isMarked) return { jpeg: bytes, frameIndex: undefined };
  return { jpeg: bytes.subarray(0, end), frameIndex: bytes.readUInt32LE(end + MARK.length) };
}
