import { randomUUID } from 'node:crypto';
import { constants, openAsBlob } from 'node:fs';
import { access, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { ifMissing, ignored } from '../../shared/process/unheard.ts';

/** Files of this machine: what is sent to a farm, and what comes back. */

/** An audio file to send. FarmError: input_unreadable, audio_empty. */
export async function openInput(filePath: string): Promise<Blob> {
  await checkInput(filePath);
  return await orUnreadable(filePath, openAsBlob(filePath));
}

/** FarmError: input_unreadable for what is missing, no file or not permitted; audio_empty for a file of 0 bytes. */
export async function checkInput(filePath: string): Promise<void> {
  const facts = await orUnreadable(filePath, stat(filePath));
  if (!facts.isFile()) {
    const what = facts.isDirectory() ? 'a folder' : 'no file';
    throw new FarmError('input_unreadable', `${filePath} is ${what}; expected an audio file`);
  }
  await orUnreadable(filePath, access(filePath, constants.R_OK));
  if (facts.size === 0) throw new FarmError('audio_empty', `${filePath} is empty (0 bytes)`);
}

export interface OutputRules {
  /** Replace a file that is there. */
  readonly overwrite: boolean;
  /** A file that must not be replaced in any case. */
  readonly input?: string | undefined;
}

/** That a file can be made there. FarmError: output_unwritable, output_exists. */
export async function checkOutput(filePath: string, { overwrite, input }: OutputRules): Promise<void> {
  const folder = path.dirname(path.resolve(filePath));
  const inFolder = await orUnwritable(filePath, stat(folder));
  if (!inFolder.isDirectory()) throw new FarmError('output_unwritable', `${folder} is not a folder`);
  await orUnwritable(filePath, access(folder, constants.W_OK | constants.X_OK));
  const there = await orUnwritable(filePath, stat(filePath).catch(ifMissing()));
  if (!there) return;
  if (there.isDirectory()) throw new FarmError('output_unwritable', `${filePath} is a folder; expected a file name`);
  const unread = ignored('an input that is not there is refused where it is read');
  const source = input === undefined ? undefined : await stat(input).catch(unread);
  if (source && source.ino === there.ino && source.dev === there.dev) {
    throw new FarmError('output_unwritable', `${filePath} is the audio file itself; expected another file`);
  }
  if (!overwrite) throw new FarmError('output_exists', `${filePath} exists`);
}

/** Writes a file under a name of its own beside `targetPath`, and gives it that name when all of it is there. */
export async function writeWhole(
  targetPath: string,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const draft = path.join(path.dirname(targetPath), `.${path.basename(targetPath)}.${randomUUID()}.part`);
  try {
    const file = await orUnwritable(targetPath, open(draft, 'wx'));
    try {
      for await (const chunk of content) await orUnwritable(targetPath, file.writeFile(chunk));
    } finally {
      await file.close();
    }
    await orUnwritable(targetPath, rename(draft, targetPath));
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

async function orUnreadable<T>(filePath: string, reading: Promise<T>): Promise<T> {
  return await reading.catch((error: NodeJS.ErrnoException) => {
    throw new FarmError('input_unreadable', `${filePath} cannot be read: ${explain(error)}`, { cause: error });
  });
}

async function orUnwritable<T>(filePath: string, writing: Promise<T>): Promise<T> {
  return await writing.catch((error: NodeJS.ErrnoException) => {
    const folder = path.dirname(path.resolve(filePath));
    const why = error.code === 'ENOENT' ? `there is no folder ${folder}` : explain(error);
    throw new FarmError('output_unwritable', `${filePath} cannot be written: ${why}`, { cause: error });
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'a part of its path is no folder',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EROFS: 'the disk is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: "this user's share of the disk is full",
};

function explain({ code, message }: NodeJS.ErrnoException): string {
  return code && REASONS[code] ? `${REASONS[code]} (${code})` : message;
}
