/** Loads a tiny model inside a worker thread, runs it and ends. */

import { parentPort, workerData } from 'node:worker_threads';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { ModelRegistry } from '../../worker/models/model-registry.ts';
import type { RunSettings } from '../../worker/onnx/onnx-session.ts';
import { load, ROOMY } from './registries.ts';

const { entry, ...settings }: RunSettings & { cachedFrames: number; entry: ModelConfig } = workerData;
const registry = new ModelRegistry({ ...settings, models: new Map([['ann', entry]]), limits: ROOMY });
const { network, encoder, avatar } = await load(registry, 'ann');
const features = await encoder.encode(new Float32Array(80 * 16), 1);
const picture = await network.generate(new Float32Array(6 * 160 * 160), new Float32Array(8192), 1);
const background = await avatar.background(0);
parentPort?.postMessage({
  features: features.length,
  picture: picture.length,
  background: background.data.length,
});
await registry.close();
