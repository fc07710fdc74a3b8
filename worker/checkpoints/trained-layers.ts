/** The layers that the networks are made of, added to a graph with their weights. Batch norms go into the convolutions. */

import type { GraphBuilder, TensorName } from '../../shared/onnx/graph.ts';
import type { Weights } from './weights.ts';

export interface ConvOptions {
  /** Of the weights' names: NAME.weight and, with `bias`, NAME.bias. */
  readonly name: string;
  /** Name of the batch norm that follows. */
  readonly norm?: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly kernel?: number;
  readonly stride?: readonly [vertical: number, horizontal: number];
  /** On every side. */
  readonly padding?: number;
  /** Every channel has a filter of its own. */
  readonly depthwise?: boolean;
  readonly bias?: boolean;
}

export interface ResidualOptions {
  /** Of its parts: NAME.conv.0 and so on. */
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly stride?: 1 | 2;
  /** Its input is added to what it makes. */
  readonly add?: boolean;
}

/** What PyTorch's batch norm adds to a variance; it is in no checkpoint. */
const EPSILON = 1e-5;

export class TrainedLayers {
  readonly graph: GraphBuilder;
  readonly weights: Weights;

  constructor(graph: GraphBuilder, weights: Weights) {
    this.graph = graph;
    this.weights = weights;
  }

  conv(x: TensorName, options: ConvOptions): TensorName {
    const { name, norm, inputs, outputs, kernel = 1, stride = [1, 1], padding = 0, depthwise = false } = options;
    const perGroup = depthwise ? 1 : inputs;
    let weight = this.weights.take(`${name}.weight`, outputs, perGroup, kernel, kernel);
    let bias = options.bias ? this.weights.take(`${name}.bias`, outputs) : new Float32Array(outputs);
    if (norm !== undefined) ({ weight, bias } = this.#fold(weight, bias, norm));
    const constants = [
      this.graph.tensor([outputs, perGroup, kernel, kernel], weight),
      this.graph.tensor([outputs], bias),
    ];
    return this.graph.node('Conv', [x, ...constants], {
      kernel_shape: [kernel, kernel],
      strides: stride,
      pads: [padding, padding, padding, padding],
      group: depthwise ? inputs : 1,
    });
  }

  relu(x: TensorName): TensorName {
    return this.graph.node('Relu', [x]);
  }

  add(a: TensorName, b: TensorName): TensorName {
    return this.graph.node('Add', [a, b]);
  }

  /** One behind the other along the channels. */
  join(a: TensorName, b: TensorName): TensorName {
    return this.graph.node('Concat', [a, b], { axis: 1 });
  }

  /** Twofold width, a filter for each channel, and back: MobileNet's inverted residual. */
  residual(x: TensorName, { name, inputs, outputs, stride = 1, add = false }: ResidualOptions): TensorName {
    const wide = inputs * 2;
    const part = (index: number) => ({ name: `${name}.conv.${index}`, norm: `${name}.conv.${index + 1}` });
    const spread = this.relu(this.conv(x, { ...part(0), inputs, outputs: wide }));
    const filter = { kernel: 3, padding: 1, stride: [stride, stride], depthwise: true } as const;
    const filtered = this.relu(this.conv(spread, { ...part(3), inputs: wide, outputs: wide, ...filter }));
    const made = this.conv(filtered, { ...part(6), inputs: wide, outputs });
    return add ? this.add(x, made) : made;
  }

  /** Two residuals, of which the second adds its input. `name` is that of the parts: NAME.double_conv.0 and 1. */
  doubleResidual(x: TensorName, { name, inputs, outputs, stride = 1 }: ResidualOptions): TensorName {
    const first = this.residual(x, { name: `${name}.double_conv.0`, inputs, outputs, stride });
    return this.residual(first, { name: `${name}.double_conv.1`, inputs: outputs, outputs, add: true });
  }

  /** Twice the height and width, bilinear, corners on corners. */
  upsample(x: TensorName): TensorName {
    const none = '' as TensorName;
    const scales = this.graph.tensor([4], Float32Array.of(1, 1, 2, 2));
    return this.graph.node('Resize', [x, none, scales], {
      mode: 'linear',
      coordinate_transformation_mode: 'align_corners',
    });
  }

  /** (w·x + b − mean) / √(variance + ε) · gain + shift, as a convolution; in float64, rounded once. */
  #fold(weight: Float32Array, bias: Float32Array, norm: string): { weight: Float32Array; bias: Float32Array } {
    const outputs = bias.length;
    const part = (name: string) => this.weights.take(`${norm}.${name}`, outputs);
    const [gain, shift, mean, variance] = [part('weight'), part('bias'), part('running_mean'), part('running_var')];
    const scale = Float64Array.from(gain, (value, index) => value / Math.sqrt((variance[index] ?? 0) + EPSILON));
    const perOutput = weight.length / outputs;
    return {
      weight: weight.map((value, index) => value * (scale[Math.floor(index / perOutput)] ?? 0)),
      bias: bias.map((value, index) => (value - (mean[index] ?? 0)) * (scale[index] ?? 0) + (shift[index] ?? 0)),
    };
  }
}
