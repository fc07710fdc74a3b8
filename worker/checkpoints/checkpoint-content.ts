import type { Storage } from './tensor-layout.ts';

/** What one of the two containers of PyTorch holds. */
export interface CheckpointContent {
  /** Maps for dicts, arrays for lists and tuples, TensorLayout for tensors. */
  readonly value: unknown;
  /** The bytes of a storage's values. @throws Unreadable when they are not whole. */
  readStorage(storage: Storage): Promise<Buffer<ArrayBuffer>>;
}
