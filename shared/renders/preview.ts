import { readFile, writeFile } from 'node:fs/promises';
import { type ArtifactStore, artifactKeys } from '../artifacts.ts';
import { ifMissing } from '../process/unheard.ts';

/** The latest picture of a render that runs, a JPEG file beside its other files. Pictures do not pass through Redis. */

/** Replaces the picture in one step. */
export async function savePreview(artifacts: ArtifactStore, renderId: string, jpeg: Uint8Array): Promise<void> {
  await artifacts.publish(artifactKeys.preview(renderId), (path) => writeFile(path, jpeg));
}

/** Undefined when there is none: no frame is done yet, or the render is complete. */
export async function readPreview(artifacts: ArtifactStore, renderId: string): Promise<Buffer | undefined> {
  return await readFile(artifacts.localPath(artifactKeys.preview(renderId))).catch(ifMissing());
}
