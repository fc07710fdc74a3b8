import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import type { RenderPlan, RenderRequest } from '../../shared/renders/record.ts';

/** Pictures of which the sizes are looked up; a store on the network needs long for ninety thousand. */
const MOST_LOOKED_UP = 100;

/**
 * Bytes that stay of a completed render, receipt aside. Of more than a hundred pictures it is an estimate, from a hundred
 * of them, evenly spread; the collector corrects it by what lies on the disk.
 */
export async function resultSize(
  artifacts: ArtifactStore,
  renderId: string,
  { output }: Pick<RenderRequest, 'output'>,
  { frameCount, firstFrame = 0 }: Pick<RenderPlan, 'frameCount' | 'firstFrame'>,
): Promise<number> {
  const { contactSheet, waveform, waterfall, video } = artifactKeys;
  const sizeOf = async (keyOf: (renderId: string) => string) => (await artifacts.size(keyOf(renderId))) ?? 0;
  const pictures = await Promise.all([contactSheet, waveform, waterfall].map(sizeOf));
  const besides = pictures.reduce((sum, size) => sum + size, 0);
  if (isVideo(output)) return besides + (await sizeOf((id) => video(id, output)));
  const count = Math.min(frameCount, MOST_LOOKED_UP);
  const sizes = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      artifacts.size(artifactKeys.frame(renderId, firstFrame + Math.floor((index * frameCount) / count), output)),
    ),
  );
  const sum = sizes.reduce<number>((total, size) => total + (size ?? 0), 0);
  return besides + Math.round((sum / count) * frameCount);
}
