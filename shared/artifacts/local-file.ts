import { openFile } from '../files/regular-file.ts';
import type { OpenFile } from './store.ts';

/** Opens a file of this machine, to read parts of it. @throws the file system's error. */
export async function openLocalFile(path: string): Promise<OpenFile> {
  const file = await openFile(path);
  const { size } = await file.stat();
  return {
    sizeBytes: size,
    async read(into, position) {
      let filled = 0;
      while (filled < into.length) {
        const { bytesRead } = await file.read(into, filled, into.length - filled, position + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return filled;
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}
