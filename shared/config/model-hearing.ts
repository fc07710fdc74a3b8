import type { Hearing, HearingWishes } from '../sound/hearing.ts';
import { hearingOfFile } from '../sound/hearing-of-file.ts';
import type { ModelConfig } from './model-config.ts';

type HearingEntry = Pick<ModelConfig, 'modelPath' | 'audioFeatures' | 'hubertChunks'>;

/** What an entry of `models:` says of what its network hears. */
export function hearingWishes({ audioFeatures, hubertChunks }: HearingEntry): HearingWishes {
  return { kind: audioFeatures, hubertChunks };
}

/** What a model's network hears, by its entry and its file. @throws as `hearingOfFile`. */
export async function hearingOfModel(model: HearingEntry): Promise<Hearing> {
  return await hearingOfFile(model.modelPath, hearingWishes(model));
}
