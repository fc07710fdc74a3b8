import { basename } from 'node:path';
import { encodeModel } from '../../shared/onnx/encode.ts';
import { audioEncoderGraph } from './audio-encoder-graph.ts';
import { CheckpointFile } from './checkpoint-file.ts';
import { lipSyncGraph } from './lip-sync-graph.ts';
import { stateDictOf } from './state-dict.ts';
import { type HearingHints, type NetworkLayout, recogniseNetwork } from './trained-network.ts';
import { Weights } from './weights.ts';

export interface ConvertedCheckpoint {
  readonly path: string;
  readonly layout: NetworkLayout;
  /** An ONNX file; the same for the same checkpoint. */
  readonly bytes: Uint8Array;
}

/**
 * A checkpoint of PyTorch → the ONNX network with its weights. Reads the file and writes nothing.
 * @throws FarmError `input_unreadable`, `checkpoint_unreadable`; `model_unusable`: no network that is known.
 */
export async function convertCheckpoint(path: string, hints: HearingHints = {}): Promise<ConvertedCheckpoint> {
  await using checkpoint = await CheckpointFile.open(path);
  const dict = stateDictOf(checkpoint.value, path);
  const layout = recogniseNetwork(dict, path, hints);
  const weights = await Weights.read(checkpoint, dict);
  const source = basename(path);
  const graph =
    layout.role === 'audio encoder'
      ? audioEncoderGraph(layout, weights, source)
      : lipSyncGraph(layout, weights, source);
  return { path, layout, bytes: encodeModel(graph) };
}
