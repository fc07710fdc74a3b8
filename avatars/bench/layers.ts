/** Convolution blocks with random weights that count their parameters and multiply-accumulates as they are added. */
import { GraphBuilder, type TensorName } from '../../shared/onnx/graph.ts';
import { mathOf } from '../onnx/math.ts';
import type { SeededRandom } from './random.ts';

/** Bounds of uniform weights, before ÷ √inputs, that neither fade nor blow up along the network: He's, and less without a ReLU. */
const RELU_GAIN = 6;
const LINEAR_GAIN = 2.5;

/** A picture or feature map in the graph: [batch, channels, height, width]. */
export interface FeatureMap {
  readonly tensor: TensorName;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

export interface ConvOptions {
  readonly kernel: number;
  readonly stride?: readonly [vertical: number, horizontal: number];
  readonly padding?: number;
  /** True: every channel has a filter of its own, and `channels` must not change. */
  readonly depthwise?: boolean;
  readonly relu?: boolean;
}

/** Batch normalisation is taken to be folded into the convolutions, as exporters do: every one has a bias. */
export class NetworkBuilder {
  readonly graph: GraphBuilder;
  readonly #math;
  readonly #random: SeededRandom;
  #parameters = 0;
  #multiplyAccumulates = 0;

  constructor(name: string, description: string, random: SeededRandom) {
    this.graph = new GraphBuilder(name, description);
    this.#math = mathOf(this.graph);
    this.#random = random;
  }

  get parameters(): number {
    return this.#parameters;
  }

  /** Of all convolutions for one item of the batch. */
  get multiplyAccumulates(): number {
    return this.#multiplyAccumulates;
  }

  conv(x: FeatureMap, channels: number, options: ConvOptions): FeatureMap {
    const { kernel, stride = [1, 1], padding = (kernel - 1) / 2, depthwise = false, relu = false } = options;
    const perFilter = (depthwise ? 1 : x.channels) * kernel * kernel;
    const weights = this.#random.uniform(channels * perFilter, Math.sqrt((relu ? RELU_GAIN : LINEAR_GAIN) / perFilter));
    const height = Math.floor((x.height + 2 * padding - kernel) / stride[0]) + 1;
    const width = Math.floor((x.width + 2 * padding - kernel) / stride[1]) + 1;
    const tensor = this.graph.node(
      'Conv',
      [
        x.tensor,
        this.graph.tensor([channels, perFilter / (kernel * kernel), kernel, kernel], weights),
        this.graph.tensor([channels], this.#random.uniform(channels, 0.02)),
      ],
      {
        kernel_shape: [kernel, kernel],
        strides: stride,
        pads: [padding, padding, padding, padding],
        group: depthwise ? x.channels : 1,
      },
    );
    this.#parameters += weights.length + channels;
    this.#multiplyAccumulates += weights.length * height * width;
    return { tensor: relu ? this.#math.relu(tensor) : tensor, channels, height, width };
  }

  /** A 3×3 convolution that keeps the shape, its input added before the ReLU. */
  residualConv(x: FeatureMap): FeatureMap {
    const changed = this.conv(x, x.channels, { kernel: 3 });
    return { ...changed, tensor: this.#math.relu(this.#math.add(changed.tensor, x.tensor)) };
  }

  /** Expands twofold, filters each channel alone, projects: MobileNet's inverted residual. */
  invertedResidual(x: FeatureMap, channels: number, stride: 1 | 2, residual: boolean): FeatureMap {
    const wide = this.conv(x, x.channels * 2, { kernel: 1, relu: true });
    const filtered = this.conv(wide, wide.channels, {
      kernel: 3,
      stride: [stride, stride],
      depthwise: true,
      relu: true,
    });
    const projected = this.conv(filtered, channels, { kernel: 1 });
    return residual ? { ...projected, tensor: this.#math.add(projected.tensor, x.tensor) } : projected;
  }

  doubleInvertedResidual(x: FeatureMap, channels: number, stride: 1 | 2): FeatureMap {
    return this.invertedResidual(this.invertedResidual(x, channels, stride, false), channels, 1, true);
  }

  /** Twice the height and width, bilinear, corners aligned. */
  upsample(x: FeatureMap): FeatureMap {
    const none = '' as TensorName;
    const scales = this.graph.tensor([4], Float32Array.of(1, 1, 2, 2));
    const tensor = this.graph.node('Resize', [x.tensor, none, scales], {
      mode: 'linear',
      coordinate_transformation_mode: 'align_corners',
    });
    return { ...x, tensor, height: x.height * 2, width: x.width * 2 };
  }

  concat(a: FeatureMap, b: FeatureMap): FeatureMap {
    if (a.height !== b.height || a.width !== b.width) {
      throw new RangeError(`cannot join ${a.height}×${a.width} with ${b.height}×${b.width}`);
    }
    return { ...a, tensor: this.#math.concat([a.tensor, b.tensor], 1), channels: a.channels + b.channels };
  }
}
