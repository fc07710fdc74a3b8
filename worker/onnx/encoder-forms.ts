/** The forms in which HuBERT and WeNet are exported. */

import { STATE_FLOATS, stateCount } from '../../shared/sound/hubert-chunks.ts';
import { FBANK_BANDS, FBANK_FRAMES_PER_ROW } from '../../shared/sound/wenet-rows.ts';
import { Tensor } from './onnxruntime.ts';
import { describePorts, type EncoderForm, type Ports } from './sound-encoder.ts';

/** Input names by which files are recognised, as they are usually exported. */
export const HUBERT_INPUTS: readonly string[] = ['input_values'];
export const WENET_INPUTS: readonly string[] = ['chunk', 'offset'];

type TensorPort = Extract<Ports[number], { isTensor: true }>;

/** As `transformers` and `optimum` export it: a waveform, and a mask of it where the file has one. */
export const HUBERT_FORM: EncoderForm = {
  role: 'HuBERT encoder',
  expected: `float32 [1, samples] at 16 kHz, and an int64 mask of it if the file has one → float32 [1, states, ${STATE_FLOATS}]`,
  // One second.
  trialFloats: 16_000,
  resultFloats: (samples) => stateCount(samples) * STATE_FLOATS,
  plan(inputs, outputs) {
    const sound = tensorsOf(inputs).find(({ type, shape }) => type === 'float32' && shape.length === 2);
    if (sound === undefined) return `no input takes a waveform; found ${describePorts(inputs)}`;
    const [batch, samples] = sound.shape;
    if (typeof batch === 'number' && batch !== 1) return `${sound.name} takes ${batch} sounds at once, not one`;
    if (typeof samples === 'number') return `${sound.name} takes ${samples} samples, not any number of them`;
    const masks = tensorsOf(inputs).filter((port) => port !== sound);
    const strange = masks.find(({ name, type }) => !/mask/.test(name) || type !== 'int64');
    if (strange) return `input ${describePorts([strange])} is unknown`;
    const output =
      tensorsOf(outputs).find(({ name }) => name === 'last_hidden_state') ??
      tensorsOf(outputs).find(({ type, shape }) => type === 'float32' && shape.length === 3);
    if (output === undefined) return `no output is hidden states; found ${describePorts(outputs)}`;
    return {
      output: output.name,
      feeds: (part) => ({
        [sound.name]: new Tensor('float32', part, [1, part.length]),
        ...Object.fromEntries(masks.map(({ name }) => [name, ones(part.length)])),
      }),
    };
  },
};

/** Values and shapes of what WeNet's encoder takes beside the filter banks, where its file does not fix them. */
const WENET_OFFSET = 100n;
const WENET_CACHE_SIZE = 16n;
const WENET_CACHES: Readonly<Record<string, readonly number[]>> = {
  att_cache: [3, 8, 16, 128],
  cnn_cache: [3, 1, 512, 14],
};
const WENET_RESULT = 16 * 512;

/** As the streaming export gives it: a chunk of filter banks and caches, which are empty for every row here. */
export const WENET_FORM: EncoderForm = {
  role: 'WeNet encoder',
  expected: `float32 [1, 1, ${FBANK_FRAMES_PER_ROW}, ${FBANK_BANDS}], and offset, att_cache and cnn_cache if the file has them → float32 [1, 16, 512]`,
  trialFloats: FBANK_FRAMES_PER_ROW * FBANK_BANDS,
  resultFloats: () => WENET_RESULT,
  plan(inputs, outputs) {
    const chunk = tensorsOf(inputs).find(takesFilterBanks);
    if (chunk === undefined) return `no input takes a chunk of filter banks; found ${describePorts(inputs)}`;
    const others = tensorsOf(inputs).filter((port) => port !== chunk);
    const constants = Object.fromEntries(others.map((port) => [port.name, wenetConstant(port)]));
    const strange = others.find(({ name }) => constants[name] === undefined);
    if (strange) return `input ${describePorts([strange])} is unknown`;
    const [output] = tensorsOf(outputs);
    if (output === undefined) return 'it has no output';
    const shape = chunk.shape.map((dim, axis) =>
      typeof dim === 'number' ? dim : dimOfChunk(axis, chunk.shape.length),
    );
    return {
      output: output.name,
      feeds: (part) => ({ ...(constants as Record<string, Tensor>), [chunk.name]: new Tensor('float32', part, shape) }),
    };
  },
};

function takesFilterBanks({ type, shape }: TensorPort): boolean {
  const fits = (dim: number | string | undefined, size: number) => typeof dim !== 'number' || dim === size;
  const leading = shape.slice(0, -2);
  return (
    type === 'float32' &&
    (shape.length === 3 || shape.length === 4) &&
    leading.every((dim) => fits(dim, 1)) &&
    fits(shape.at(-2), FBANK_FRAMES_PER_ROW) &&
    shape.at(-1) === FBANK_BANDS
  );
}

function dimOfChunk(axis: number, rank: number): number {
  if (axis === rank - 1) return FBANK_BANDS;
  return axis === rank - 2 ? FBANK_FRAMES_PER_ROW : 1;
}

/** What an input beside the filter banks is always given; undefined for one that is unknown. */
function wenetConstant({ name, type, shape }: TensorPort): Tensor | undefined {
  const dims = shape.map((dim, axis) => (typeof dim === 'number' ? dim : (WENET_CACHES[name]?.[axis] ?? 1)));
  const length = dims.reduce((product, dim) => product * dim, 1);
  if (type === 'int64' && name === 'offset')
    return new Tensor('int64', new BigInt64Array(length).fill(WENET_OFFSET), dims);
  if (type === 'int64' && name === 'required_cache_size') {
    return new Tensor('int64', new BigInt64Array(length).fill(WENET_CACHE_SIZE), dims);
  }
  if (type === 'float32' && name in WENET_CACHES) return new Tensor('float32', new Float32Array(length), dims);
  return undefined;
}

function ones(length: number): Tensor {
  return new Tensor('int64', new BigInt64Array(length).fill(1n), [1, length]);
}

function tensorsOf(ports: Ports): TensorPort[] {
  return ports.filter((port) => port.isTensor);
}
