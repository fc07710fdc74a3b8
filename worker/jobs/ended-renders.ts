import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { RenderStore } from '../../shared/renders/store.ts';

/**
 * Removes the files of a render that was cancelled or deleted: the job that stops last may have written some after the
 * front end had removed them. Segments that came late to a completed render are removed as the others were, by a media
 * worker. Files of any other render stay: another worker may have gone on with it.
 */
export async function removeFilesIfGone(
  renders: RenderStore,
  artifacts: ArtifactStore,
  renderId: string,
): Promise<void> {
  const record = await renders.find(renderId);
  if (!record || record.status === 'cancelled') await artifacts.remove(artifactKeys.folder(renderId));
  else if (record.status === 'completed') await renders.segments.areSpent(renderId);
}
