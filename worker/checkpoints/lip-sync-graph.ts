/** The lip-sync networks of SyncTalk_2D and Ultralight-Digital-Human as a graph: a U-Net that the sound joins at its bottom. */

import { type Graph, GraphBuilder, type TensorName } from '../../shared/onnx/graph.ts';
import { TrainedLayers } from './trained-layers.ts';
import { describeLayout, type LipSyncLayout } from './trained-network.ts';
import type { Weights } from './weights.ts';

/**
 * `input` [batch, 6, S, S] and `audio` [batch, channels, height, width] → `output` [batch, 3, S, S], 0…1.
 * @throws FarmError `model_unusable`: the weights do not fit; says by name what does not.
 */
export function lipSyncGraph(layout: LipSyncLayout, weights: Weights, source: string): Graph {
  const { size, audio } = layout;
  const graph = new GraphBuilder('lip_sync', `${describeLayout(layout)}, made from ${source}`);
  const picture = graph.input('input', ['batch', 6, size, size]);
  const sound = graph.input('audio', ['batch', ...audio.shape]);
  const layers = new TrainedLayers(graph, weights);
  const output = graph.node('Sigmoid', [pictureBranch(layers, layout, picture, soundBranch(layers, layout, sound))]);
  graph.output('output', output, ['batch', 3, size, size]);
  weights.requireAll(describeLayout(layout));
  return graph.build();
}

/** Channels at the steps: 32, 64, 128, 256, 512. */
function steps({ width }: LipSyncLayout): [number, number, number, number, number] {
  return [width, width * 2, width * 4, width * 8, width * 16];
}

function pictureBranch(layers: TrainedLayers, layout: LipSyncLayout, picture: TensorName, sound: TensorName) {
  const [c0, c1, c2, c3, c4] = steps(layout);
  // At 320 pixels one step more, so that the bottom is 10 × 10 either way.
  const large = layout.size === 320;
  const widths = large ? [c0, c0, c1, c2, c3, c4] : [c0, c1, c2, c3, c4];
  const first = nested(layers, 'inc.inconv', 'conv.0.weight');
  const skips = [layers.residual(picture, { name: first, inputs: 6, outputs: c0 })];
  for (const [step, outputs] of widths.entries()) {
    if (step === 0) continue;
    const name = nested(layers, `down${step}.maxpool_conv`, 'double_conv.0.conv.0.weight');
    skips.push(layers.doubleResidual(last(skips), { name, inputs: widths[step - 1] ?? 0, outputs, stride: 2 }));
  }
  let x = layers.join(last(skips), sound);
  x = layers.doubleResidual(x, { name: 'fuse_conv.0', inputs: c4 * 2, outputs: c4 });
  x = layers.doubleResidual(x, { name: 'fuse_conv.1', inputs: c4, outputs: c3 });
  const ups: [number, number][] = [
    [c4, c3 / 2],
    [c3, c2 / 2],
    [c2, c1 / 2],
    [c1, c0],
    ...(large ? [[c1, c0 / 2] as [number, number]] : []),
  ];
  for (const [step, [inputs, outputs]] of ups.entries()) {
    const skip = skips[skips.length - 2 - step] as TensorName;
    const joined = layers.join(layers.upsample(x), skip);
    x = layers.doubleResidual(joined, { name: `up${step + 1}.conv`, inputs, outputs });
  }
  return layers.conv(x, { name: 'outc.conv', inputs: last(ups)[1], outputs: 3, bias: true });
}

/** → [16 × width, 10, 10] */
function soundBranch(layers: TrainedLayers, layout: LipSyncLayout, sound: TensorName): TensorName {
  const [, c1, c2, c3, c4] = steps(layout);
  const { kind, shape } = layout.audio;
  const part = (number: number) => `audio_model.conv${number}`;
  const same = (number: number, channels: number, x: TensorName) =>
    layers.residual(x, { name: part(number), inputs: channels, outputs: channels, add: true });
  const [inputs] = shape;
  let x = sound;
  if (kind === 'wenet') {
    x = layers.residual(x, { name: part(1), inputs, outputs: c3, add: inputs === c3 });
    x = same(2, c3, x);
  } else {
    x = layers.residual(x, { name: part(1), inputs, outputs: c1 });
    x = layers.residual(x, { name: part(2), inputs: c1, outputs: c2 });
  }
  const third = { name: part(3), norm: 'audio_model.bn3', outputs: c3, kernel: 3, padding: 1, bias: true };
  const stride = ({ ave: [1, 1], hubert: [2, 2], wenet: [1, 2] } as const)[kind];
  x = layers.relu(layers.conv(x, { ...third, inputs: kind === 'wenet' ? c3 : c2, stride }));
  x = same(4, c3, x);
  const fifth = { name: part(5), norm: 'audio_model.bn5', kernel: 3, stride: [2, 2], padding: 3, bias: true } as const;
  x = layers.relu(layers.conv(x, { ...fifth, inputs: c3, outputs: c4 }));
  return same(7, c4, same(6, c4, x));
}

/** Older code puts some parts into a Sequential of one, newer code does not. */
function nested(layers: TrainedLayers, name: string, firstWeight: string): string {
  return layers.weights.has(`${name}.0.${firstWeight}`) ? `${name}.0` : name;
}

function last<T>(list: readonly T[]): T {
  return list[list.length - 1] as T;
}
