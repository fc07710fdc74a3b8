/**
 * The container that PyTorch wrote before 1.6, and writes still when it is asked to: five pickles one after the other
 * (a magic number, the version, facts about the machine, the content, the keys of the storages), then each storage:
 * its length in values as int64, and the values.
 */

import type { CheckpointContent } from './checkpoint-content.ts';
import type { FileBytes } from './file-bytes.ts';
import { storageBytes, TorchPickle } from './torch-pickle.ts';
import { Unreadable } from './unreadable.ts';

/** 0x1950a86a20f9469cfc6c as a pickle holds it; it stands in the first bytes. */
const MAGIC = Buffer.from('6cfc9c46f9206aa85019', 'hex');
const MAGIC_WITHIN = 32;
const VERSION = 1001;
/** The pickles stand in it. */
const MAX_HEAD = 32 << 20;
const LENGTH_BYTES = 8;

/** @throws Unreadable when it is no such file, or not whole. */
export async function openLegacy(file: FileBytes): Promise<CheckpointContent> {
  const head = await file.read(0, Math.min(file.size, MAX_HEAD));
  if (!head.subarray(0, MAGIC_WITHIN).includes(MAGIC)) throw new Unreadable('it is no checkpoint of PyTorch');
  const pickles = new TorchPickle();
  const magic = pickles.read(head);
  const version = pickles.read(head, magic.end);
  if (version.value !== VERSION) throw new Unreadable(`it has version ${String(version.value)} of the old format`);
  const machine = pickles.read(head, version.end);
  if (machine.value instanceof Map && machine.value.get('little_endian') === false) {
    throw new Unreadable('it was written by a machine of the other byte order');
  }
  const content = pickles.read(head, machine.end);
  const keys = pickles.read(head, content.end);
  const places = await findStorages(file, pickles, keys.value, keys.end);
  return {
    value: content.value,
    async readStorage(storage) {
      const start = places.get(storage.key);
      if (start === undefined) throw new Unreadable(`the storage "${storage.key}" in it is missing`);
      return await file.read(start, storageBytes(storage));
    },
  };
}

/** Where the values of each storage begin. */
async function findStorages(
  file: FileBytes,
  { storages }: TorchPickle,
  keys: unknown,
  start: number,
): Promise<Map<string, number>> {
  const places = new Map<string, number>();
  let at = start;
  for (const key of Array.isArray(keys) ? keys : []) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (storage === undefined) throw new Unreadable('it has a storage that its pickle does not name');
    const length = (await file.read(at, LENGTH_BYTES)).readBigInt64LE();
    if (length !== BigInt(storage.length)) {
      throw new Unreadable(`the storage "${storage.key}" in it has ${length} values, not ${storage.length}`);
    }
    places.set(storage.key, at + LENGTH_BYTES);
    at += LENGTH_BYTES + storageBytes(storage);
  }
  if (at > file.size) throw new Unreadable(`it was cut off: it has ${file.size} bytes of ${at}`);
  return places;
}
