import { constants, type FileHandle, open } from 'node:fs/promises';
import { ignored } from '../process/unheard.ts';

/**
 * Files that a configuration or a dataset names, opened so that nothing waits for ever: opening a named pipe would wait
 * for somebody to write to it, and reading a device may have no end. All such files are opened here.
 */

/** A file that cannot be read in this time lies on a file system that hangs. */
const READ_WITHIN_MS = 60_000;
/** Opening does not wait for a writer; of no effect on files. Not on every system. */
const AT_ONCE = constants.O_NONBLOCK ?? 0;

/** Opens a file for reading. @throws the file system's error; Error for what is no file. */
export async function openFile(path: string): Promise<FileHandle> {
  const file = await within(path, open(path, constants.O_RDONLY | AT_ONCE));
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw new Error(`${path} is ${kindOf(facts)}, not a file`);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The bytes of a file. @throws as openFile; Error when the file system does not hand it over within a minute. */
export async function readWholeFile(path: string): Promise<Buffer> {
  const file = await openFile(path);
  const read = file.readFile();
  try {
    return await within(path, read);
  } finally {
    // What hangs keeps its file until it ends.
    const close = () => file.close();
    read.then(close, close).catch(ignored('the bytes are read'));
  }
}

/** For a file that a library opens by its path. @throws as openFile. */
export async function requireFile(path: string): Promise<void> {
  await (await openFile(path)).close();
}

async function within<T>(path: string, work: Promise<T>): Promise<T> {
  const tooLong = Promise.withResolvers<never>();
  const why = `${path} could not be read within ${READ_WITHIN_MS / 1000} s: does its file system hang?`;
  const timer = setTimeout(() => tooLong.reject(new Error(why)), READ_WITHIN_MS);
  try {
    return await Promise.race([work, tooLong.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function kindOf(facts: { isDirectory(): boolean; isFIFO(): boolean }): string {
  if (facts.isDirectory()) return 'a folder';
  return facts.isFIFO() ? 'a named pipe' : 'a device or a socket';
}
