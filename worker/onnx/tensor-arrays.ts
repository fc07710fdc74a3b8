/** Flat arrays as tensors. */

import { freeNow } from '../../shared/process/free-now.ts';
import { Tensor } from './onnxruntime.ts';
import type { BoundTensor } from './tensor-contract.ts';

export type FlatArray = Float32Array | Uint8Array;

/** Flat arrays by tensor name, each [count, …]. */
export type TensorArrays = Readonly<Record<string, FlatArray>>;

/** Items [start, start + items) of a flat array, as a view; an empty array where an input that may be empty has none. */
export function sliceItems(
  array: FlatArray | undefined,
  tensor: BoundTensor,
  { start, items, count }: { start: number; items: number; count: number },
): FlatArray {
  const { name, type, itemLength, use } = tensor;
  if (array === undefined && use !== 'always') return zeros(tensor, 0);
  if (array?.length !== count * itemLength) {
    const values = type === 'uint8' ? 'bytes' : 'floats';
    throw new Error(`${name} has ${array?.length ?? 'no'} ${values}, expected ${count} × ${itemLength}`);
  }
  return array.subarray(start * itemLength, (start + items) * itemLength);
}

/**
 * Tensors [batch, …dims] over the arrays themselves, over zero-padded copies where they are too short, and [0, …dims]
 * where they are empty.
 */
export function toTensors(
  specs: readonly BoundTensor[],
  arrays: readonly FlatArray[],
  batch: number,
): Record<string, Tensor> {
  return Object.fromEntries(
    specs.map((spec, index) => [spec.name, toTensor(spec, arrays[index] ?? zeros(spec, 0), batch)]),
  );
}

/** Gives a tensor's memory back at once; nobody may read it any more. */
export function freeTensor(tensor: Tensor | undefined): void {
  if (ArrayBuffer.isView(tensor?.data)) freeNow(tensor.data);
}

/** `items` items of zeros. */
export function zeros({ type, itemLength }: BoundTensor, items: number): FlatArray {
  return type === 'uint8' ? new Uint8Array(items * itemLength) : new Float32Array(items * itemLength);
}

function toTensor(spec: BoundTensor, array: FlatArray, batch: number): Tensor {
  if (array.length === 0) return tensorOver(array, [0, ...spec.dims]);
  if (array.length === batch * spec.itemLength) return tensorOver(array, [batch, ...spec.dims]);
  const padded = zeros(spec, batch);
  padded.set(array);
  return tensorOver(padded, [batch, ...spec.dims]);
}

function tensorOver(array: FlatArray, dims: readonly number[]): Tensor {
  return array instanceof Uint8Array ? new Tensor('uint8', array, dims) : new Tensor('float32', array, dims);
}
