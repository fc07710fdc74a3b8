/** The speech encoder that SyncTalk_2D calls `ave`, as a graph: thirteen convolutions, each with a batch norm. */

import { type Graph, GraphBuilder, type TensorName } from '../../shared/onnx/graph.ts';
import { TrainedLayers } from './trained-layers.ts';
import { type AudioEncoderLayout, describeLayout } from './trained-network.ts';
import type { Weights } from './weights.ts';

interface Block {
  /** Channels, in multiples of the width; the first takes one channel. */
  readonly outputs: number;
  readonly stride?: readonly [vertical: number, horizontal: number];
  readonly kernel?: number;
  readonly padding?: number;
  /** Its input is added before the ReLU. */
  readonly add?: boolean;
}

const NO_STRIDE = [1, 1] as const;
const same = (outputs: number, count: number): Block[] => Array(count).fill({ outputs, add: true });

const BLOCKS: readonly Block[] = [
  { outputs: 1 },
  ...same(1, 2),
  { outputs: 2, stride: [3, 1] },
  ...same(2, 2),
  { outputs: 4, stride: [3, 3] },
  ...same(4, 2),
  { outputs: 8, stride: [3, 2] },
  ...same(8, 1),
  { outputs: 16, padding: 0 },
  { outputs: 16, kernel: 1, padding: 0 },
];

/**
 * `mel_spectrogram` [batch, 1, 80, 16] → `audio_features` [batch, 512].
 * @throws FarmError `model_unusable`: the weights do not fit; says by name what does not.
 */
export function audioEncoderGraph(layout: AudioEncoderLayout, weights: Weights, source: string): Graph {
  const graph = new GraphBuilder('audio_encoder', `${describeLayout(layout)}, made from ${source}`);
  const layers = new TrainedLayers(graph, weights);
  let x: TensorName = graph.input('mel_spectrogram', ['batch', 1, 80, 16]);
  let inputs = 1;
  for (const [index, { kernel = 3, padding = 1, add, ...block }] of BLOCKS.entries()) {
    const outputs = block.outputs * layout.width;
    const stride = block.stride ?? NO_STRIDE;
    const [name, norm] = [`${index}.conv_block.0`, `${index}.conv_block.1`];
    const made = layers.conv(x, { name, norm, inputs, outputs, kernel, stride, padding, bias: true });
    x = layers.relu(add ? layers.add(made, x) : made);
    inputs = outputs;
  }
  graph.output('audio_features', graph.node('Reshape', [x, graph.integers(-1, inputs)]), ['batch', inputs]);
  weights.requireAll(describeLayout(layout));
  return graph.build();
}
