import { loadConfig } from '../../shared/config/load.ts';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors.ts';
import { videosToExtract } from '../avatar/avatar.ts';
import { loadAlone } from '../models/loaded-model.ts';
import { findProblems } from '../models/model-problems.ts';
import { deviceName } from '../onnx/device-name.ts';
import { whyUnavailable } from '../onnx/execution-providers.ts';

/**
 * `node worker/commands/inspect-models.ts`: loads every configured model once and prints what it found, one JSON object a line:
 * first the execution providers, then the models. One whose pictures are still in a video is not loaded. `farm doctor`
 * reads it.
 */
async function main(): Promise<void> {
  const { models, onnx } = loadConfig();
  for (const provider of onnx.execution_providers) {
    const problem = whyUnavailable(provider) ?? null;
    print({ kind: 'provider', name: provider, problem, device: await deviceName(provider) });
  }
  for (const model of models.values()) {
    print({ kind: 'model', name: model.modelId, ...(await tryModel(model, onnx.execution_providers)) });
  }
}

async function tryModel(model: ModelConfig, providers: readonly string[]) {
  try {
    const problems = await findProblems(model);
    if (problems.length > 0) return { problems };
    const toExtract = await videosToExtract(model);
    // An extraction takes as long as the video is; the worker that needs the pictures does it.
    if (toExtract.length > 0) return { problems, toExtract };
    const settings = { providers, threads: { intraOp: 0, interOp: 1 } };
    const loaded = await loadAlone({ entry: model, cachedFrames: 1, ...settings });
    const { avatar, network, provider, msPerFrame } = loaded;
    await loaded.release();
    const { frameCount, width, height } = avatar;
    return { problems: [], frameCount, width, height, size: network.size, ...provider, msPerFrame };
  } catch (error) {
    return { problems: [FarmError.from(error).message] };
  }
}

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

await main();
