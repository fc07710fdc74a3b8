import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { makeDataFolder } from '../shared/data-folder.ts';
import { FarmError } from '../shared/errors.ts';
import { linkOnce } from '../shared/farm/link-once.ts';
import { hasEnded, ownIdentity, type ProcessIdentity, processIdentitySchema } from '../shared/process/process-life.ts';
import { ignored } from '../shared/process/unheard.ts';

/** farm.pid in the data folder: which `farm up` has it, so that there is one at a time and `farm down` finds it. */

/** A number is what older farms wrote. */
const fileSchema = z.union([
  processIdentitySchema,
  z
    .int()
    .positive()
    .transform((pid): ProcessIdentity => ({ host: hostname(), pid })),
]);

const lockPathOf = (storageRoot: string) => path.join(storageRoot, 'farm.pid');

/**
 * Takes the data folder for this process; what is returned gives it back. FarmError('farm_running') names the process
 * that has it, FarmError('storage_failed') says why the folder cannot be used.
 */
export async function lockFolder(storageRoot: string): Promise<() => Promise<void>> {
  const lockPath = lockPathOf(storageRoot);
  const me = ownIdentity();
  // Written aside and linked, so that nobody ever reads half of it.
  const draft = `${lockPath}.${randomUUID()}`;
  try {
    await makeDataFolder(storageRoot);
    await writeFile(draft, JSON.stringify(me));
    while (!(await linkOnce(draft, lockPath))) {
      const holder = await readHolder(storageRoot);
      if (holder && !hasEnded(holder)) throw new FarmError('farm_running', describeHolder(storageRoot, holder));
      await removeLock(storageRoot, holder);
    }
  } catch (error) {
    if (error instanceof FarmError) throw error;
    const reason = (error as Error).message;
    throw new FarmError('storage_failed', `The data folder ${storageRoot} cannot be used: ${reason}`, { cause: error });
  } finally {
    await rm(draft, { force: true }).catch(ignored('beside the lock it does no harm'));
  }
  return () => removeLock(storageRoot, me);
}

/** Who has the data folder, or had it and was killed; undefined when nobody has. */
export async function readHolder(storageRoot: string): Promise<ProcessIdentity | undefined> {
  return await readFrom(lockPathOf(storageRoot));
}

/** Removes the lock of one holder, or one that nobody can read; puts it back should it have become another's. */
async function removeLock(storageRoot: string, of: ProcessIdentity | undefined): Promise<void> {
  const lockPath = lockPathOf(storageRoot);
  const aside = `${lockPath}.${randomUUID()}`;
  try {
    await rename(lockPath, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const taken = await readFrom(aside);
  const isTheirs = taken === undefined || (taken.pid === of?.pid && taken.startMark === of.startMark);
  if (!isTheirs) await linkOnce(aside, lockPath);
  await rm(aside, { force: true });
}

async function readFrom(lockPath: string): Promise<ProcessIdentity | undefined> {
  const text = await readFile(lockPath, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch {
    return undefined; // Not what a farm writes: so it names no process.
  }
}

function describeHolder(storageRoot: string, { host, pid }: ProcessIdentity): string {
  const running = `A farm already runs on ${storageRoot} (process ${pid}`;
  if (host === hostname()) return `${running})`;
  return `${running} on host ${host}; should that host be gone, remove ${lockPathOf(storageRoot)})`;
}
