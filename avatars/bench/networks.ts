/**
 * Networks as large as trained ones, with random weights: what a render costs, without what it shows. The generator is a
 * U-Net of inverted residuals with the sound joined in at the bottom; the encoder a stack of 3×3 convolutions.
 */
import type { Graph } from '../../shared/onnx/graph.ts';
import { type FeatureMap, NetworkBuilder } from './layers.ts';
import { SeededRandom } from './random.ts';

const GENERATOR_SEED = 20_320;
const ENCODER_SEED = 20_512;
const CHANNELS = { c32: 32, c64: 64, c128: 128, c256: 256, c512: 512 } as const;
const { c32, c64, c128, c256, c512 } = CHANNELS;

export type BenchSize = 160 | 320;

export interface CountedNetwork {
  readonly graph: Graph;
  readonly parameters: number;
  /** Of all convolutions for one item of the batch. */
  readonly multiplyAccumulates: number;
}

/** What the networks are to weigh: those of the trained avatars at 320 pixels. */
export const TRAINED_SIZE = {
  generator: { parameters: 12.15e6, multiplyAccumulates: 4.89e9 },
  encoder: { parameters: 2.81e6, multiplyAccumulates: 93e6 },
} as const;

/** `input` [batch, 6, size, size] + `audio` [batch, 32, 16, 16] → `output` [batch, 3, size, size], 0…1. */
export function benchGenerator(size: BenchSize): CountedNetwork {
  const net = new NetworkBuilder(
    'bench_generator',
    'Random weights, for benchmarks only: the size of a trained lip-sync generator, none of its skill.',
    new SeededRandom(GENERATOR_SEED + size),
  );
  const input = net.graph.input('input', ['batch', 6, size, size]);
  const audio = net.graph.input('audio', ['batch', 32, 16, 16]);
  const picture = { tensor: input, channels: 6, height: size, width: size };
  const sound = audioBranch(net, { tensor: audio, channels: 32, height: 16, width: 16 });

  /** Widths of the steps down; at 320 pixels one more of them, so that the bottom is 10 × 10 either way. */
  const widths = size === 320 ? [c32, c64, c128, c256, c512] : [c64, c128, c256, c512];
  const skips = [net.invertedResidual(picture, c32, 1, false)];
  for (const width of widths) skips.push(net.doubleInvertedResidual(last(skips), width, 2));
  const joined = net.concat(last(skips), sound);
  let x = net.doubleInvertedResidual(net.doubleInvertedResidual(joined, c512, 1), c256, 1);
  for (const skip of skips.slice(0, -1).reverse()) {
    x = net.doubleInvertedResidual(net.concat(skip, net.upsample(x)), upWidth(skip, size), 1);
  }
  const picked = net.conv(x, 3, { kernel: 1 });
  net.graph.output('output', net.graph.node('Sigmoid', [picked.tensor]), ['batch', 3, size, size]);
  return counted(net);
}

/** `mel_spectrogram` [batch, 1, 80, 16] → `audio_features` [batch, 512]. */
export function benchEncoder(): CountedNetwork {
  const net = new NetworkBuilder(
    'bench_audio_encoder',
    'Random weights, for benchmarks only: the size of a trained audio encoder, none of its skill.',
    new SeededRandom(ENCODER_SEED),
  );
  const mel = net.graph.input('mel_spectrogram', ['batch', 1, 80, 16]);
  const layer = (x: FeatureMap, channels: number, stride: readonly [number, number], residuals: number) => {
    let y = net.conv(x, channels, { kernel: 3, stride, relu: true });
    for (let i = 0; i < residuals; i++) y = net.residualConv(y);
    return y;
  };
  let x = layer({ tensor: mel, channels: 1, height: 80, width: 16 }, c32, [1, 1], 2);
  x = layer(x, c64, [3, 1], 2);
  x = layer(x, c128, [3, 3], 2);
  x = layer(x, c256, [3, 2], 1);
  x = net.conv(x, c512, { kernel: 3, padding: 0, relu: true });
  x = net.conv(x, c512, { kernel: 1, relu: true });
  const features = net.graph.node('Reshape', [x.tensor, net.graph.integers(-1, c512)]);
  net.graph.output('audio_features', features, ['batch', c512]);
  return counted(net);
}

/** [32, 16, 16] → [512, 10, 10]. */
function audioBranch(net: NetworkBuilder, audio: FeatureMap): FeatureMap {
  let x = net.invertedResidual(audio, c64, 1, false);
  x = net.invertedResidual(x, c128, 1, false);
  x = net.conv(x, c256, { kernel: 3, relu: true });
  x = net.invertedResidual(x, c256, 1, true);
  x = net.conv(x, c512, { kernel: 3, stride: [2, 2], padding: 3, relu: true });
  x = net.invertedResidual(x, c512, 1, true);
  return net.invertedResidual(x, c512, 1, true);
}

/** Channels after a step up to the size of `skip`: half of the skip's, but not below 32 at half the picture's size. */
function upWidth(skip: FeatureMap, size: BenchSize): number {
  if (size === 320 && skip.width === size) return c32 / 2;
  return Math.max(c32, skip.channels / 2);
}

function last(maps: readonly FeatureMap[]): FeatureMap {
  return maps[maps.length - 1] as FeatureMap;
}

function counted(net: NetworkBuilder): CountedNetwork {
  return { graph: net.graph.build(), parameters: net.parameters, multiplyAccumulates: net.multiplyAccumulates };
}
