/** The container that PyTorch writes since 1.6: `NAME/data.pkl`, and a storage in each `NAME/data/KEY`. */

import type { CheckpointContent } from './checkpoint-content.ts';
import type { FileBytes } from './file-bytes.ts';
import { storageBytes, TorchPickle } from './torch-pickle.ts';
import { Unreadable } from './unreadable.ts';
import { ZipArchive } from './zip-archive.ts';

/** A state dict describes itself in some hundred kilobytes, with an optimiser's in a megabyte. */
const MAX_PICKLE = 32 << 20;

/** @throws Unreadable when it is no such file, or not whole. */
export async function openZip(file: FileBytes): Promise<CheckpointContent> {
  const archive = await ZipArchive.open(file);
  const names = [...archive.entries.keys()];
  const pickleName = names.find((name) => /^[^/]+\/data\.pkl$/.test(name));
  const pickle = pickleName === undefined ? undefined : archive.entries.get(pickleName);
  if (pickle === undefined) throw new Unreadable('it is a zip archive, but not of PyTorch: it has no data.pkl');
  const root = pickle.name.slice(0, -'data.pkl'.length);
  if (archive.entries.has(`${root}constants.pkl`)) {
    throw new Unreadable('it is a program of TorchScript, which is not run: save a state dict instead');
  }
  const order = archive.entries.get(`${root}byteorder`);
  if (order !== undefined && (await archive.read(order)).toString('latin1') !== 'little') {
    throw new Unreadable('it was written by a machine of the other byte order');
  }
  if (pickle.byteLength > MAX_PICKLE) throw new Unreadable(`its pickle has ${pickle.byteLength} bytes`);
  const { value } = new TorchPickle().read(await archive.read(pickle));
  return {
    value,
    async readStorage(storage) {
      const entry = archive.entries.get(`${root}data/${storage.key}`);
      if (entry === undefined || entry.byteLength < storageBytes(storage)) {
        throw new Unreadable(`the storage "${storage.key}" in it is ${entry === undefined ? 'missing' : 'cut off'}`);
      }
      return await archive.read(entry);
    },
  };
}
