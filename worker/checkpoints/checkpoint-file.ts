/** A checkpoint of PyTorch: what its pickle describes, and the values of the tensors in it, read when they are asked for. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import type { CheckpointContent } from './checkpoint-content.ts';
import { FileBytes } from './file-bytes.ts';
import { openLegacy } from './legacy-checkpoint.ts';
import type { Storage, TensorLayout } from './tensor-layout.ts';
import { Unreadable } from './unreadable.ts';
import { openZip } from './zip-checkpoint.ts';

const ZIP_SIGNATURE = 'PK\x03\x04';

export class CheckpointFile implements AsyncDisposable {
  readonly path: string;
  /** Maps for dicts, arrays for lists and tuples, TensorLayout for tensors. */
  readonly value: unknown;
  readonly #file: FileBytes;
  readonly #content: CheckpointContent;
  /** Parameters that an optimiser flattened share a storage, and stand one after the other. */
  #latest: { storage: Storage; bytes: Buffer<ArrayBuffer> } | undefined;

  private constructor(path: string, file: FileBytes, content: CheckpointContent) {
    this.path = path;
    this.#file = file;
    this.#content = content;
    this.value = content.value;
  }

  /** @throws FarmError `input_unreadable`: no such file; `checkpoint_unreadable`: it is damaged, or wants to be run. */
  static async open(path: string): Promise<CheckpointFile> {
    const file = await FileBytes.open(path).catch((cause: Error) => {
      throw new FarmError('input_unreadable', `the checkpoint ${path} cannot be read: ${cause.message}`, { cause });
    });
    try {
      const start = (await file.read(0, Math.min(file.size, ZIP_SIGNATURE.length))).toString('latin1');
      return new CheckpointFile(path, file, await (start === ZIP_SIGNATURE ? openZip(file) : openLegacy(file)));
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw withPath(path, error);
    }
  }

  /** The values of a tensor, in the order of its axes. @throws FarmError `checkpoint_unreadable` */
  async read(tensor: TensorLayout): Promise<Float32Array<ArrayBuffer>> {
    const { storage } = tensor;
    try {
      const known = this.#latest?.storage === storage ? this.#latest.bytes : undefined;
      const bytes = known ?? (await this.#content.readStorage(storage));
      this.#latest = { storage, bytes };
      return tensor.values(bytes);
    } catch (error) {
      throw withPath(this.path, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#latest = undefined;
    await this.#file[Symbol.asyncDispose]();
  }
}

function withPath(path: string, error: unknown): unknown {
  if (!(error instanceof Unreadable)) return error;
  return new FarmError('checkpoint_unreadable', `the checkpoint ${path} cannot be read: ${error.message}`);
}
