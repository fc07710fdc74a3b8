/** Tries a model as a GPU worker would: loads it, runs both networks, and renders some seconds of speech with it. */

import { fileURLToPath } from 'node:url';
import type { Config } from '../../shared/config/load.ts';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { loadSettings } from '../models/load-settings.ts';
import { type LoadedModel, loadAlone } from '../models/loaded-model.ts';
import { findProblems } from '../models/model-problems.ts';
import { fetchModel } from './fetch-model.ts';
import { type PreviewFacts, type PreviewOptions, renderPreview } from './preview-video.ts';

export const SAMPLE_SPEECH = fileURLToPath(new URL('../../avatars/demo/sample-speech.wav', import.meta.url));
/** Of speech, enough to tell whether the mouth follows the voice: docs/quality.md. */
export const PREVIEW_SECONDS = 8;

export interface Attempt {
  /** What is to be made of a preview; undefined: none is rendered. */
  readonly preview: Omit<PreviewOptions, 'settings'> | undefined;
  /** What S must be. */
  readonly size?: number | undefined;
  /** Told of what was loaded, before the preview is begun. */
  readonly loaded: (model: LoadedModel) => void;
}

export interface Trial {
  /** S of the lip-sync network. */
  readonly networkSize: number;
  readonly preview: PreviewFacts | undefined;
}

/**
 * @throws FarmError `model_unusable` with everything that is wrong, what loadModel and renderPreview throw; the reason of
 * `signal` once it is aborted.
 */
export async function tryModel(
  entry: ModelConfig,
  config: Config,
  { preview, size, loaded }: Attempt,
  signal: AbortSignal,
): Promise<Trial> {
  await fetchModel(entry, config, signal);
  const problems = await findProblems(entry);
  if (problems.length > 0) throw new FarmError('model_unusable', problems.join('; '));
  const model = await loadAlone({ ...loadSettings(config), entry });
  try {
    const networkSize = model.network.size;
    if (size !== undefined && size !== networkSize) {
      throw new FarmError('model_unusable', `${entry.modelPath} has S = ${networkSize}: --size asks for ${size}`);
    }
    loaded(model);
    if (preview === undefined) return { networkSize, preview };
    const wanted = { ...preview, settings: config.render };
    return { networkSize, preview: await renderPreview(model, wanted, signal) };
  } finally {
    await model.release();
  }
}
