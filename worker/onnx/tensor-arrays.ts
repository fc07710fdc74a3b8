/** Flat arrays as tensors. */

import { Tensor } from './onnxruntime.ts';
import type { BoundTensor } from './tensor-contract.ts';

/** Flat arrays by tensor name, each [count, …]. */
export type TensorArrays = Readonly<Record<string, Float32Array>>;

/** Items [start, start + items) of a flat array, as a view. */
export function sliceItems(
  array: Float32Array | undefined,
  { name, floatsPerItem }: BoundTensor,
  { start, items, count }: { start: number; items: number; count: number },
): Float32Array {
  if (array?.length !== count * floatsPerItem) {
    throw new Error(`${name} has ${array?.length ?? 'no'} floats, expected ${count} × ${floatsPerItem}`);
  }
  return array.subarray(start * floatsPerItem, (start + items) * floatsPerItem);
}

/** Tensors [batch, …dims] over the arrays themselves, or over zero-padded copies where they are too short. */
export function toTensors(
  specs: readonly BoundTensor[],
  arrays: readonly Float32Array[],
  batch: number,
): Record<string, Tensor> {
  return Object.fromEntries(
    specs.map(({ name, dims, floatsPerItem }, index) => {
      let array = arrays[index] ?? new Float32Array();
      if (array.length < batch * floatsPerItem) {
        const padded = new Float32Array(batch * floatsPerItem);
        padded.set(array);
        array = padded;
      }
      return [name, new Tensor('float32', array, [batch, ...dims])];
    }),
  );
}
