import { ignored } from '../process/unheard.ts';
import { AUDIO_KIND_FACTS } from '../sound/audio-kinds.ts';
import type { FrameRate } from '../sound/frame-rate.ts';
import { type Hearing, type HearingWishes, USUAL_HEARING } from '../sound/hearing.ts';
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

/** Frames a second of a model's videos: as its entry says, or what its network was trained with. */
export async function frameRateOf(model: HearingEntry & Pick<ModelConfig, 'frameRate'>): Promise<FrameRate> {
  if (model.frameRate) return model.frameRate;
  const hearing = await hearingOfModel(model).catch(ignored('the worker that opens it refuses it', USUAL_HEARING));
  return AUDIO_KIND_FACTS[hearing.kind].framesPerSecond;
}

/** The same of all models, by id. */
export async function frameRatesOf(models: ReadonlyMap<string, ModelConfig>): Promise<ReadonlyMap<string, FrameRate>> {
  return new Map(await Promise.all([...models].map(async ([id, model]) => [id, await frameRateOf(model)] as const)));
}
