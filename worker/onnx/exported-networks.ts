/** Which of some ONNX files is the lip-sync network and which the audio encoder, told by the tensors that they take. */

import { basename } from 'node:path';
import { FarmError } from '../../shared/errors.ts';
import { AUDIO_ENCODER_INPUTS } from './audio-encoder.ts';
import { LIP_SYNC_INPUTS } from './lip-sync-network.ts';
import { InferenceSession } from './onnxruntime.ts';

export interface ExportedNetworks {
  readonly modelPath: string;
  /** Undefined when the files have none: the configuration may name one for all models. */
  readonly audioEncoderPath: string | undefined;
}

interface Candidate {
  readonly path: string;
  readonly inputs: readonly string[];
}

/**
 * Finds the two networks. What the caller names is taken as it is; whether shapes fit is for the model's load to check.
 * @param paths ONNX files to look through.
 * @param named paths that the user gave.
 * @throws FarmError `model_unusable`: a file that ONNX Runtime cannot open, no lip-sync network, or several of a kind;
 * says which files there are and which option names one.
 */
export async function findNetworks(
  paths: readonly string[],
  named: { modelPath: string | undefined; audioEncoderPath: string | undefined },
): Promise<ExportedNetworks> {
  const search = named.modelPath === undefined || named.audioEncoderPath === undefined;
  const candidates: Candidate[] = [];
  for (const path of search ? paths : []) candidates.push({ path, inputs: await inputNames(path) });
  const found = candidates.map(({ path, inputs }) => `${basename(path)} (takes ${inputs.join(', ')})`).join(', ');
  const only = (wanted: readonly string[], option: string): string | undefined => {
    const fitting = candidates.filter(({ inputs }) => wanted.every((name) => inputs.includes(name)));
    if (fitting.length < 2) return fitting[0]?.path;
    const names = fitting.map(({ path }) => basename(path)).join(', ');
    throw new FarmError('model_unusable', `${names} all take ${wanted.join(' and ')}: name one with ${option}`);
  };
  const modelPath = named.modelPath ?? only(LIP_SYNC_INPUTS, '--model');
  if (modelPath === undefined) {
    const wanted = LIP_SYNC_INPUTS.join(' and ');
    throw new FarmError(
      'model_unusable',
      `there is no ONNX file that takes ${wanted}; found ${found || 'none'}: export the network, or name it with --model`,
    );
  }
  return { modelPath, audioEncoderPath: named.audioEncoderPath ?? only(AUDIO_ENCODER_INPUTS, '--audio-encoder') };
}

async function inputNames(path: string): Promise<readonly string[]> {
  try {
    const session = await InferenceSession.create(path, { graphOptimizationLevel: 'disabled', logSeverityLevel: 4 });
    const names = session.inputNames;
    await session.release();
    return names;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.trim() : String(cause);
    throw new FarmError('model_unusable', `ONNX Runtime cannot open ${path}: ${reason}`, { cause });
  }
}
