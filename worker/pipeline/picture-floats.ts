/**
 * Pictures ↔ the floats that a network computes on, and with both of them what `paint` and `paintFloats` of a network
 * mean: their way for graphs that stay as they are. worker/onnx/byte-graph.ts says the same in nodes of a graph.
 */

import {
  type Faces,
  type LipSyncNetwork,
  mouthBytes,
  type NetworkSize,
  outputFloats,
  type PictureFaces,
  type RgbImage,
  visualInputFloats,
} from './contract.ts';
import { writeMouth } from './mouth.ts';

/** The hidden area begins this many pixels from the left and the top of the picture … */
const MASK_INSET = 5;
/** … and its last column is S − 6, its last row S − 11. */
const MASK_LAST_X_FROM_END = 6;
const MASK_LAST_Y_FROM_END = 11;

const SCALED = Float32Array.from({ length: 256 }, (_, value) => value / 255);

/** Memory for [count, 6, S, S] floats with arbitrary contents; asked for when faces come as pictures. */
export type VisualMemory = (floats: number) => Float32Array;

/**
 * Bytes → floats → network → bytes; faces that are floats stay as they are.
 * @param audio [count, 32, 16, 16].
 * @param mouths receives [count, S, S, 3] RGB.
 * @throws whatever `network.generate` throws.
 */
export async function paintOutside(
  network: Pick<LipSyncNetwork, 'size' | 'generate'>,
  faces: Faces,
  audio: Float32Array,
  mouths: Uint8Array,
  count: number,
  memory: VisualMemory = (floats) => new Float32Array(floats),
): Promise<void> {
  writeMouths(await generateOutside(network, faces, audio, count, memory), network.size, mouths, count);
}

/** Bytes → floats → network: what `paintFloats` means. @returns what `network.generate` does. */
export async function generateOutside(
  network: Pick<LipSyncNetwork, 'size' | 'generate'>,
  faces: Faces,
  audio: Float32Array,
  count: number,
  memory: VisualMemory = (floats) => new Float32Array(floats),
): Promise<Float32Array> {
  const { size } = network;
  const visual = 'visual' in faces ? faces.visual : memory(count * visualInputFloats(size));
  if (!('visual' in faces)) writeVisualInputs(faces, size, visual, count);
  return await network.generate(visual, audio, count);
}

/** [count, S, S, 3] RGB → [count, 6, S, S], BGR 0…1. */
function writeVisualInputs(faces: PictureFaces, size: NetworkSize, visual: Float32Array, count: number): void {
  for (let place = 0; place < count; place++) {
    const roi = faces.rois && pictureAt(faces.rois, place, size);
    writeVisualInput(pictureAt(faces.crops, place, size), size, visual, place * visualInputFloats(size), roi);
  }
}

/** [count, 3, S, S], BGR 0…1 → [count, S, S, 3] RGB. */
function writeMouths(output: Float32Array, size: NetworkSize, mouths: Uint8Array, count: number): void {
  for (let place = 0; place < count; place++) {
    writeMouth(output, place * outputFloats(size), size, pictureAt(mouths, place, size).data);
  }
}

/**
 * Writes the visual input of one frame, [6, S, S], BGR 0…1: the inner S×S of the crop in channels 0–2; the same, or
 * `roi` where it is given, in 3–5 with x 5…S−6, y 5…S−11 black.
 * @param crop (S+8)² RGB, or its inner S² alone; S is `size`.
 * @param input receives 6·S² floats from `offset` on.
 * @param roi S² RGB.
 */
export function writeVisualInput(
  crop: RgbImage,
  size: NetworkSize,
  input: Float32Array,
  offset: number,
  roi?: RgbImage,
): void {
  const plane = size * size;
  writePlanes(crop, size, input, offset);
  if (roi) writePlanes(roi, size, input, offset + 3 * plane);
  else input.copyWithin(offset + 3 * plane, offset, offset + 3 * plane);
  for (let channel = 3; channel < 6; channel++) hideMouth(input, offset + channel * plane, size);
}

/** The inner S×S of a picture as three planes, BGR 0…1. */
function writePlanes(picture: RgbImage, size: NetworkSize, input: Float32Array, offset: number): void {
  const plane = size * size;
  const margin = (picture.width - size) / 2;
  for (let y = 0; y < size; y++) {
    let from = ((y + margin) * picture.width + margin) * 3;
    const rowStart = offset + y * size;
    for (let to = rowStart; to < rowStart + size; to++, from += 3) {
      input[to] = SCALED[picture.data[from + 2] as number] as number;
      input[to + plane] = SCALED[picture.data[from + 1] as number] as number;
      input[to + 2 * plane] = SCALED[picture.data[from] as number] as number;
    }
  }
}

/** [S, S]: 0 where the mouth is hidden, 1 elsewhere. */
export function hiddenArea(size: NetworkSize): Float32Array {
  const area = new Float32Array(size * size).fill(1);
  hideMouth(area, 0, size);
  return area;
}

function hideMouth(input: Float32Array, planeStart: number, size: NetworkSize): void {
  for (let y = MASK_INSET; y <= size - MASK_LAST_Y_FROM_END; y++) {
    const row = planeStart + y * size;
    input.fill(0, row + MASK_INSET, row + size - MASK_LAST_X_FROM_END + 1);
  }
}

/** Picture `place` of [count, S, S, 3] RGB: a view. */
export function pictureAt(pictures: Uint8Array, place: number, size: NetworkSize): RgbImage {
  const bytes = mouthBytes(size);
  return { width: size, height: size, data: pictures.subarray(place * bytes, (place + 1) * bytes) };
}
