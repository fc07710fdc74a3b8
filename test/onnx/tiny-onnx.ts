/** ONNX models of a few hundred bytes with the tensor contract of the farm, or nearly so. */

import { encodeModel } from '../../shared/onnx/encode.ts';
import { GraphBuilder, type TensorName } from '../../shared/onnx/graph.ts';

/** Number of int64 in ONNX's TensorProto.DataType. */
const INT64 = 7;
const FLOAT = 1;
/** What WeNet's encoder is always given as its place in the sound. */
const WENET_OFFSET = 100;
/** Of the audio input of a frame. */
const AUDIO_FLOATS = 32 * 16 * 16;

export interface TinyEncoderOptions {
  /** A string is a symbolic dim. */
  readonly batch?: number | string;
  readonly inputName?: string;
  readonly featureSize?: number;
  /** Adds an input that the contract has not. */
  readonly speakerInput?: boolean;
}

/** An encoder whose features of a window are all the mean of its 80×16 values. */
export function tinyEncoder(options: TinyEncoderOptions = {}): Uint8Array {
  const { batch = 'batch', inputName = 'mel_spectrogram', featureSize = 512, speakerInput = false } = options;
  const graph = new GraphBuilder('tiny-encoder', 'for tests');
  const windows = graph.input(inputName, [batch, 1, 80, 16]);
  if (speakerInput) graph.input('speaker', [batch, 4]);
  const mean = graph.node('ReduceMean', [windows], { axes: [2, 3], keepdims: 0 });
  const features = graph.node('Tile', [mean, graph.integers(1, featureSize)]);
  graph.output('audio_features', features, [batch, featureSize]);
  return encodeModel(graph.build());
}

/** Floats of one of HuBERT's hidden states; a hidden state is of 400 samples, 320 after those of the one before. */
const HUBERT = { state: 1024, samples: 400, step: 320 };

/**
 * An encoder with the contract of HuBERT, which attends to all that it is given: each hidden state is the loudness of
 * its samples and a tenth of that of them all.
 */
export function tinyHubert(options: { readonly mask?: boolean } = {}): Uint8Array {
  const graph = new GraphBuilder('tiny-hubert', 'for tests');
  const sound = graph.input('input_values', [1, 'samples']);
  if (options.mask) graph.input('attention_mask', [1, 'samples'], 'int64');
  const loud = graph.node('Unsqueeze', [graph.node('Abs', [sound]), graph.integers(1)]);
  const weights = graph.tensor([1, 1, HUBERT.samples], new Float32Array(HUBERT.samples).fill(1 / HUBERT.samples));
  const states = graph.node('Conv', [loud, weights], { strides: [HUBERT.step] });
  const all = graph.node('Mul', [graph.node('ReduceMean', [states], { axes: [2], keepdims: 1 }), graph.scalar(0.1)]);
  const each = graph.node('Transpose', [graph.node('Add', [states, all])], { perm: [0, 2, 1] });
  graph.output('last_hidden_state', graph.node('Tile', [each, graph.integers(1, 1, HUBERT.state)]), [
    1,
    'states',
    HUBERT.state,
  ]);
  return encodeModel(graph.build());
}

/** An encoder with the contract of WeNet's: its features are the mean of its filter banks, and of what else it takes. */
export function tinyWenet(): Uint8Array {
  const graph = new GraphBuilder('tiny-wenet', 'for tests');
  const chunk = graph.input('chunk', [1, 1, 67, 80]);
  const offset = graph.input('offset', [1], 'int64');
  const caches = [graph.input('att_cache', [3, 8, 16, 128]), graph.input('cnn_cache', [3, 1, 512, 14])];
  const meanOf = (tensor: TensorName) => graph.node('ReduceMean', [tensor], { keepdims: 0 });
  const started = graph.node('Sub', [meanOf(graph.node('Cast', [offset], { to: FLOAT })), graph.scalar(WENET_OFFSET)]);
  const rest = caches.map(meanOf).reduce((sum, mean) => graph.node('Add', [sum, mean]), started);
  const mean = graph.node('Reshape', [graph.node('Add', [meanOf(chunk), rest]), graph.integers(1, 1, 1)]);
  graph.output('output', graph.node('Tile', [mean, graph.integers(1, 16, 512)]), [1, 16, 512]);
  for (const [index, cache] of caches.entries()) {
    graph.output(`r_cache_${index}`, graph.node('Identity', [cache]), index === 0 ? [3, 8, 16, 128] : [3, 1, 512, 14]);
  }
  return encodeModel(graph.build());
}

export interface TinyNetworkOptions {
  readonly batch?: number | string;
  /** What input and output declare as their S. */
  readonly size?: number | string;
  /** Channels of the output. */
  readonly channels?: number;
  /** The visual channel that becomes the first of the output. */
  readonly firstChannel?: number;
  /** The picture is what is seen alone. */
  readonly deaf?: boolean;
  /** Of the audio input of a frame. */
  readonly hears?: readonly (number | string)[];
}

/** A network whose picture is the first three visual channels, or others, plus the mean of the audio input. */
export function tinyNetwork(options: TinyNetworkOptions = {}): Uint8Array {
  const { batch = 'batch', size = 160, channels = 3, firstChannel = 0, deaf = false } = options;
  const { graph, visual, audio } = startNetwork(batch, 6, size, options.hears);
  const picture = graph.node('Slice', [
    visual,
    graph.integers(firstChannel),
    graph.integers(firstChannel + channels),
    graph.integers(1),
  ]);
  const loudness = graph.node('ReduceMean', [audio], { axes: [1, 2, 3], keepdims: 1 });
  const heard = deaf ? graph.node('Sub', [loudness, loudness]) : loudness;
  graph.output('output', graph.node('Add', [picture, heard]), [batch, channels, size, size]);
  return encodeModel(graph.build());
}

/** A network with so many bytes of weights, a multiple of 32 KiB; they make nothing louder. */
export function heavyNetwork(weightBytes: number): Uint8Array {
  const { graph, visual, audio } = startNetwork('batch', 6, 160);
  const heard = graph.node('Reshape', [audio, graph.integers(-1, AUDIO_FLOATS)]);
  const columns = weightBytes / (4 * AUDIO_FLOATS);
  const weights = graph.tensor(
    [AUDIO_FLOATS, columns],
    new Float32Array(AUDIO_FLOATS * columns).fill(1 / AUDIO_FLOATS),
  );
  const mean = graph.node('ReduceMean', [graph.node('MatMul', [heard, weights])], { axes: [1], keepdims: 1 });
  const loudness = graph.node('Reshape', [mean, graph.integers(-1, 1, 1, 1)]);
  const picture = graph.node('Slice', [visual, graph.integers(0), graph.integers(3), graph.integers(1)]);
  graph.output('output', graph.node('Add', [picture, loudness]), ['batch', 3, 160, 160]);
  return encodeModel(graph.build());
}

/** A network that ONNX Runtime opens but cannot run: its symbolic channels hide that six do not make up fours. */
export function brokenNetwork(): Uint8Array {
  const { graph, visual, audio } = startNetwork('batch', 'channels', 160);
  const fours = graph.node('Reshape', [visual, graph.integers(-1, 4, 160, 160)]);
  const picture = graph.node('Slice', [fours, graph.integers(0), graph.integers(3), graph.integers(1)]);
  const loudness = graph.node('ReduceMean', [audio], { axes: [1, 2, 3], keepdims: 1 });
  graph.output('output', graph.node('Add', [picture, loudness]), ['batch', 3, 160, 160]);
  return encodeModel(graph.build());
}

/** A network whose channels are known only when it runs: those given, plus the mean of the audio input. */
export function moodyNetwork(channelsInSilence: number): Uint8Array {
  const { graph, visual, audio } = startNetwork('batch', 'channels', 160);
  const loudness = graph.node('Cast', [graph.node('ReduceMean', [audio], { keepdims: 0 })], { to: INT64 });
  const end = graph.node('Add', [loudness, graph.integers(channelsInSilence)]);
  const picture = graph.node('Slice', [visual, graph.integers(0), end, graph.integers(1)]);
  graph.output('output', picture, ['batch', 'pictures', 160, 160]);
  return encodeModel(graph.build());
}

function startNetwork(
  batch: number | string,
  channels: number | string,
  size: number | string,
  hears: readonly (number | string)[] = [32, 16, 16],
): NetworkStart {
  const graph = new GraphBuilder('tiny-network', 'for tests');
  const visual = graph.input('input', [batch, channels, size, size]);
  return { graph, visual, audio: graph.input('audio', [batch, ...hears]) };
}

interface NetworkStart {
  readonly graph: GraphBuilder;
  readonly visual: TensorName;
  readonly audio: TensorName;
}
