/** Loads a tiny model inside a worker thread, runs it and ends. */

import { parentPort, workerData } from 'node:worker_threads';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import type { LoadSettings } from '../../worker/models/load-settings.ts';
import { ModelRegistry } from '../../worker/models/model-registry.ts';
import { load, ROOMY } from './registries.ts';

const { entry, ...settings }: LoadSettings & { entry: ModelConfig } = workerData;
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
