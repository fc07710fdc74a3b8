import { type Config, loadConfig } from '../../shared/config/load.ts';
import { hasPictures, type ModelConfig } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { USUAL_HEARING } from '../../shared/sound/hearing.ts';
import { describeHearing } from '../../shared/sound/row-reach.ts';
import { videosToExtract } from '../avatar/avatar.ts';
import { type LoadSettings, loadSettings } from '../models/load-settings.ts';
import { loadAlone, tryNetworks } from '../models/loaded-model.ts';
import { findProblems } from '../models/model-problems.ts';
import { deviceName } from '../onnx/device-name.ts';
import { whyUnavailable } from '../onnx/execution-providers.ts';
import { fetchModel } from './fetch-model.ts';

const NEVER = new AbortController().signal;

/**
 * `node worker/commands/inspect-models.ts`: loads every configured model once and prints what it found, one JSON object a line:
 * first the execution providers, then the models. Of one whose pictures are still in a video, the networks only. `farm
 * doctor` reads it.
 */
async function main(): Promise<void> {
  const config = loadConfig();
  const settings = loadSettings(config);
  for (const provider of settings.providers) {
    const problem = whyUnavailable(provider) ?? null;
    print({ kind: 'provider', name: provider, problem, device: await deviceName(provider) });
  }
  for (const model of config.models.values()) {
    print({ kind: 'model', name: model.modelId, ...(await tryModel(model, config, settings)) });
  }
}

async function tryModel(model: ModelConfig, config: Config, settings: LoadSettings) {
  try {
    await fetchModel(model, config, NEVER);
    const problems = await findProblems(model);
    if (problems.length > 0) return { problems };
    const toExtract = hasPictures(model) ? await videosToExtract(model) : [];
    if (toExtract.length > 0) {
      // An extraction takes as long as the video is; the worker that needs the pictures does it.
      await tryNetworks(model, settings);
      return { problems, toExtract };
    }
    const loaded = await loadAlone({ ...settings, entry: model, cachedFrames: 1 });
    const { avatar, network, provider, msPerFrame } = loaded;
    await loaded.release();
    const { frameCount, width, height } = avatar;
    const hears = describeHearing(network.hearing ?? USUAL_HEARING);
    return { problems: [], frameCount, width, height, size: network.size, hears, ...provider, msPerFrame };
  } catch (error) {
    const { code, message } = FarmError.from(error);
    return { problems: [code === 'model_unusable' ? message : `${code}: ${message}`] };
  }
}

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

await main();
