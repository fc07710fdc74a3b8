/** What the names in a checkpoint's pickle stand for: tensors, their storages, dicts, and nothing else. */

import { type Pickled, PickleGlobal, type PickleWorld, readPickle } from './pickle.ts';
import { ELEMENT_BYTES, type ElementType, type Storage, TensorLayout } from './tensor-layout.ts';
import { Unreadable } from './unreadable.ts';

const STORAGES: Readonly<Record<string, ElementType>> = {
  DoubleStorage: 'float64',
  FloatStorage: 'float32',
  HalfStorage: 'float16',
  BFloat16Storage: 'bfloat16',
  LongStorage: 'int64',
  IntStorage: 'int32',
  ShortStorage: 'int16',
  CharStorage: 'int8',
  ByteStorage: 'uint8',
  BoolStorage: 'bool',
};

/** Reads pickles of one checkpoint, and keeps which storages they name. */
export class TorchPickle implements PickleWorld {
  /** By their keys, as large as the file says. */
  readonly storages = new Map<string, Storage>();
  readonly #globals = new Map<string, PickleGlobal>();

  constructor() {
    const add = (name: string, call?: (args: readonly unknown[]) => unknown) =>
      this.#globals.set(name, new PickleGlobal(name, call));
    add('collections.OrderedDict', dictOf);
    add('torch._utils._rebuild_tensor_v2', rebuildTensor);
    add('torch._utils._rebuild_parameter', ([tensor]) => requireTensor(tensor));
    add('torch.Size', ([sizes]) => sizes);
    for (const name of Object.keys(STORAGES)) add(`torch.${name}`);
  }

  read(bytes: Buffer, start = 0): Pickled {
    return readPickle(bytes, start, this);
  }

  global(module: string, name: string): PickleGlobal {
    const found = this.#globals.get(`${module}.${name}`);
    if (found !== undefined) return found;
    throw new Unreadable(
      `its pickle names ${printable(`${module}.${name}`)}: only tensors, numbers, texts, lists and dicts are read, and nothing in a checkpoint is run`,
    );
  }

  /** `('storage', type, key, device, length)`; before PyTorch 1.6 with a part of another storage behind it, or None. */
  persistent(id: unknown): TornStorage {
    const [kind, type, key, , length, view = null] = Array.isArray(id) ? id : [];
    if (kind !== 'storage') {
      throw new Unreadable(
        `its pickle refers to ${typeof kind === 'string' ? printable(kind) : 'something'} outside it`,
      );
    }
    const elements = type instanceof PickleGlobal ? STORAGES[type.name.slice('torch.'.length)] : undefined;
    if (elements === undefined || typeof key !== 'string' || !isCount(length)) {
      throw new Unreadable('its pickle is damaged: a storage in it has no type, name or length');
    }
    const storage = this.#known({ key, type: elements, length });
    if (view === null) return { storage, offset: 0, length };
    const [, offset, size] = Array.isArray(view) ? view : [];
    if (!isCount(offset) || !isCount(size) || offset + size > length) {
      throw new Unreadable(`its pickle is damaged: a part of the storage "${printable(key)}" lies outside that`);
    }
    return { storage, offset, length: size };
  }

  #known(storage: Storage): Storage {
    const known = this.storages.get(storage.key);
    if (known !== undefined && (known.type !== storage.type || known.length !== storage.length)) {
      throw new Unreadable(`its pickle describes the storage "${printable(storage.key)}" in two ways`);
    }
    this.storages.set(storage.key, known ?? storage);
    return known ?? storage;
  }
}

/** A storage, or a part of one. */
interface TornStorage {
  readonly storage: Storage;
  readonly offset: number;
  readonly length: number;
}

function dictOf(args: readonly unknown[]): Map<unknown, unknown> {
  const [pairs = []] = args;
  const dict = new Map<unknown, unknown>();
  for (const pair of Array.isArray(pairs) ? pairs : [undefined]) {
    if (!Array.isArray(pair) || pair.length !== 2) throw new Unreadable('its pickle is damaged: a dict has no pairs');
    dict.set(pair[0], pair[1]);
  }
  return dict;
}

/** `(storage, offset, shape, strides, requires_grad, hooks, …)`: the rest is of no use here. */
function rebuildTensor([part, offset, shape, strides]: readonly unknown[]): TensorLayout {
  if (!isPart(part) || !isCount(offset) || !areCounts(shape) || !areCounts(strides)) {
    throw new Unreadable('its pickle is damaged: a tensor in it has no storage or no shape');
  }
  return new TensorLayout(part.storage, part.offset + offset, shape, strides);
}

function requireTensor(value: unknown): TensorLayout {
  if (value instanceof TensorLayout) return value;
  throw new Unreadable('its pickle is damaged: a parameter in it is no tensor');
}

function isPart(value: unknown): value is TornStorage {
  return typeof value === 'object' && value !== null && 'storage' in value && !(value instanceof TensorLayout);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function areCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount);
}

/** Names come from a file that may be anything. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 120);
}

/** Bytes of a storage's values. */
export function storageBytes({ type, length }: Storage): number {
  return length * ELEMENT_BYTES[type];
}
