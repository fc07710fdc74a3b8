import { z } from 'zod';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { Measures } from './segment-notes.ts';

const measuresSchema: z.ZodType<Measures> = z.object({
  opening: z.array(z.int()),
  seam: z.array(z.int()),
  background: z.array(z.int()),
});

/**
 * The measures of all frames of a render; undefined where a worker of an earlier version rendered some of them.
 * @throws for a file that cannot be read, or holds something else.
 */
export async function readMeasures(
  artifacts: ArtifactStore,
  renderId: string,
  segmentCount: number,
  frameCount: number,
): Promise<Measures | undefined> {
  const all: Measures = { opening: [], seam: [], background: [] };
  for (let index = 0; index < segmentCount; index++) {
    const text = await artifacts.contents(artifactKeys.segmentMeasures(renderId, index));
    if (text === undefined) return undefined;
    const part = measuresSchema.parse(JSON.parse(text.toString()));
    for (const name of ['opening', 'seam', 'background'] as const)
      for (const value of part[name]) all[name].push(value);
  }
  return all.opening.length === frameCount ? all : undefined;
}
