/** ONNX sessions over encoded graphs, and small pictures and sounds for them. */

import * as ort from 'onnxruntime-node';
import { encodeModel } from '../../shared/onnx/encode.ts';
import type { Graph } from '../../shared/onnx/graph.ts';
import type { AudioEncoder, AvatarFrames, Rect } from '../../worker/pipeline/contract.ts';
import { visualInputFloats } from '../../worker/pipeline/contract.ts';
import { writeVisualInput } from '../../worker/pipeline/picture-floats.ts';
import { cutCrop, makeCrop } from '../../worker/pipeline/visual-input.ts';
import { FloatNetwork } from '../pipeline/float-network.ts';

export function openGraph(graph: Graph): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(encodeModel(graph), { intraOpNumThreads: 2 });
}

/** Names and shapes of a session's inputs or outputs; the batch axis by its name. */
export function shapesOf(metadata: readonly ort.InferenceSession.ValueMetadata[]): Record<string, unknown> {
  return Object.fromEntries(metadata.map((port) => [port.name, port.isTensor ? [port.type, ...port.shape] : 'other']));
}

export class SessionEncoder implements AudioEncoder {
  readonly #session: ort.InferenceSession;

  constructor(session: ort.InferenceSession) {
    this.#session = session;
  }

  async encode(windows: Float32Array, count: number): Promise<Float32Array> {
    const feeds = { mel_spectrogram: new ort.Tensor('float32', windows.slice(0, count * 1280), [count, 1, 80, 16]) };
    return floats((await this.#session.run(feeds)).audio_features);
  }
}

export class SessionNetwork extends FloatNetwork {
  readonly size;
  readonly framesPerRun = 32;
  readonly #session: ort.InferenceSession;

  constructor(session: ort.InferenceSession, size: 160 | 320) {
    super();
    this.#session = session;
    this.size = size;
  }

  async generate(visual: Float32Array, audio: Float32Array, count: number): Promise<Float32Array> {
    const { size } = this;
    const input = new ort.Tensor('float32', visual.slice(0, count * 6 * size * size), [count, 6, size, size]);
    const sound = new ort.Tensor('float32', audio.slice(0, count * 8192), [count, 32, 16, 16]);
    return floats((await this.#session.run({ input, audio: sound })).output);
  }
}

/** What the network sees of one of an avatar's frames: [6, 320, 320]. */
export async function visualInput(avatar: AvatarFrames, index: number, shift = { x: 0, y: 0 }): Promise<Float32Array> {
  const { x1, y1, x2, y2 } = avatar.rect(index);
  const rect: Rect = { x1: x1 + shift.x, y1: y1 + shift.y, x2: x2 + shift.x, y2: y2 + shift.y };
  const crop = makeCrop(320);
  cutCrop(await avatar.background(index), rect, crop);
  const input = new Float32Array(visualInputFloats(320));
  writeVisualInput(crop, 320, input, 0);
  return input;
}

/**
 * A mel window [1, 80, 16] of a steady voice: `level` 0 … 1 from silence to full scale in decibels, as loud at every
 * frequency below `upToBand` and silent above.
 */
export function steadyMel(level: number, upToBand = 60): Float32Array {
  return Float32Array.from({ length: 1280 }, (_, index) => (index / 16 < upToBand ? -4 + 8 * level : -4));
}

/** The audio input of a frame in the middle of a sound that does not change: 16 equal rows. */
export function steadyAudio(features: Float32Array): Float32Array {
  return Float32Array.from({ length: 8192 }, (_, index) => features[index % 512] as number);
}

function floats(tensor: ort.Tensor | undefined): Float32Array {
  if (!(tensor?.data instanceof Float32Array)) throw new TypeError('the model gave no float32 output');
  return tensor.data;
}
