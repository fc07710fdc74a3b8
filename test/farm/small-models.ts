import { readFile, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import type { CompositeBatchRequest, CompositeBatchResponse } from '../../api/grpc/messages/monolithic.ts';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { MONOLITHIC, type TestClient } from '../grpc/clients.ts';
import type { TestFarm } from '../support/farm.ts';

/** A tiny model as an entry of `models:`. */
export type ModelEntry = ReturnType<typeof entryOf>;

export function entryOf({ modelPath, audioEncoderPath, backgroundDir, cropRectsPath }: ModelConfig) {
  return {
    model_path: modelPath,
    audio_encoder_path: audioEncoderPath,
    background_dir: backgroundDir,
    crop_rects_path: cropRectsPath,
  };
}

/** Asks for frames of a model with silence for a sound. */
export async function infer(client: TestClient, model_id: string, batch_size = 1): Promise<CompositeBatchResponse> {
  const raw_audio = Buffer.alloc(batch_size * 640 * 4);
  const request: Partial<CompositeBatchRequest> = { model_id, batch_size, raw_audio, sample_rate: 16_000 };
  return await client.unary<CompositeBatchResponse>(MONOLITHIC, 'InferBatchComposite', request);
}

/** Changes `models:` in a farm's configuration as an editor does: a new file takes the place of the old one. */
export async function rewriteModels(
  farm: TestFarm,
  models: Record<string, object>,
  others: Record<string, object> = {},
): Promise<void> {
  const file = path.join(farm.folder, 'config.yaml');
  const settings = parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  await writeFile(`${file}.new`, stringify({ ...settings, ...others, models }));
  await rename(`${file}.new`, file);
}
