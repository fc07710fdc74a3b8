import { randomUUID } from 'node:crypto';
import { open, rename, rm, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { linkOnce } from '../../shared/farm/link-once.ts';
import { makeDataFolder } from '../../shared/files/data-folder.ts';
import {
  hasEnded,
  isWithinSight,
  ownIdentity,
  type ProcessIdentity,
  processIdentitySchema,
} from '../../shared/process/process-life.ts';
import { ignored, logged } from '../../shared/process/unheard.ts';

/** farm.pid in the data folder: which `farm up` has it, so that there is one at a time and `farm down` finds it. */

/** How often the holder touches the file. */
const TOUCH_EVERY_MS = 2000;
/** A holder elsewhere that has not touched the file for this long is dead. Long enough for a busy network file system. */
const SILENCE_MS = 20_000;
const LOOKS_PER_SILENCE = 100;

const holderSchema = processIdentitySchema.extend({
  /** Absent in files of older farms, which do not touch them. */
  isTouched: z.boolean().optional(),
});
export type FolderHolder = Readonly<z.infer<typeof holderSchema>>;

/** A number is what the oldest farms wrote. */
const fileSchema = z.union([
  holderSchema,
  z
    .int()
    .positive()
    .transform((pid): FolderHolder => ({ ...ownIdentity(), pid, startMark: undefined })),
]);

const lockPathOf = (storageRoot: string) => path.join(storageRoot, 'farm.pid');

export interface FolderLockOptions {
  /** Told in words when it has to wait to see whether the holder is alive. */
  readonly say?: (line: string) => void;
  /** Told in words when another farm has taken the folder, because this process did not touch its file for so long. */
  readonly onLost?: (reason: string) => void;
  /** For how long a holder elsewhere is watched, in ms. */
  readonly silenceMs?: number;
  readonly touchEveryMs?: number;
}

/**
 * Takes the data folder for this process; what is returned gives it back. A holder that was killed is noticed at once on
 * the same machine, and from another one or another container when it has not touched its file for 20 s as this process
 * sees it: clocks are never compared.
 * @throws FarmError `farm_running` names the process that has it, `storage_failed` says why it cannot be used.
 */
export async function lockFolder(storageRoot: string, options: FolderLockOptions = {}): Promise<() => Promise<void>> {
  const lockPath = lockPathOf(storageRoot);
  const me: FolderHolder = { ...ownIdentity(), isTouched: true };
  // Written aside and linked, so that nobody ever reads half of it.
  const draft = `${lockPath}.${randomUUID()}`;
  try {
    await makeDataFolder(storageRoot);
    await writeFile(draft, JSON.stringify(me));
    while (!(await linkOnce(draft, lockPath))) {
      const holder = await readHolder(storageRoot);
      if (holder && !hasEnded(holder)) await seeItDead(storageRoot, holder, options);
      await removeLock(storageRoot, holder);
    }
  } catch (error) {
    if (error instanceof FarmError) throw error;
    const reason = (error as Error).message;
    throw new FarmError('storage_failed', `The data folder ${storageRoot} cannot be used: ${reason}`, { cause: error });
  } finally {
    await rm(draft, { force: true }).catch(ignored('beside the lock it does no harm'));
  }
  const stopTouching = keepTouching(lockPath, me, options);
  return async () => {
    stopTouching();
    await removeLock(storageRoot, me);
  };
}

/** Who has the data folder, or had it and was killed; undefined when nobody has. */
export async function readHolder(storageRoot: string): Promise<FolderHolder | undefined> {
  return (await look(lockPathOf(storageRoot)))?.holder;
}

/**
 * Resolves when a holder whose process cannot be seen from here has not touched its file for so long that it is dead.
 * @throws FarmError `farm_running` when it has, or when it is one of this machine and lives.
 */
async function seeItDead(
  storageRoot: string,
  holder: FolderHolder,
  { say, silenceMs = SILENCE_MS }: FolderLockOptions,
): Promise<void> {
  const running = new FarmError('farm_running', describeHolder(storageRoot, holder));
  if (isWithinSight(holder) || !holder.isTouched) throw running;
  const seconds = Math.ceil(silenceMs / 1000);
  say?.(
    `process ${holder.pid} on ${holder.host} had ${storageRoot}; waiting up to ${seconds} s to see whether it is gone`,
  );
  const first = await look(lockPathOf(storageRoot));
  const untilMs = performance.now() + silenceMs;
  while (performance.now() < untilMs) {
    await delay(silenceMs / LOOKS_PER_SILENCE);
    const now = await look(lockPathOf(storageRoot));
    if (!now || !isDeepStrictEqual(now.holder, holder)) return;
    if (now.mtimeMs !== first?.mtimeMs) throw running;
  }
}

/** Touches the file until what is returned is called. */
function keepTouching(lockPath: string, me: FolderHolder, { onLost, touchEveryMs }: FolderLockOptions): () => void {
  const touch = async () => {
    const other = (await look(lockPath))?.holder;
    if (isDeepStrictEqual(other, me)) await utimes(lockPath, new Date(), new Date());
    else if (other) {
      clearInterval(touching);
      onLost?.(`process ${other.pid} on ${other.host} has taken the data folder: ${lockPath} is its own now`);
    }
  };
  const touching = setInterval(() => {
    touch().catch(logged('could not touch farm.pid; the next time makes up for it'));
  }, touchEveryMs ?? TOUCH_EVERY_MS);
  touching.unref();
  return () => clearInterval(touching);
}

/** Removes the lock of one holder, or one that nobody can read; puts it back should it have become another's. */
async function removeLock(storageRoot: string, of: FolderHolder | undefined): Promise<void> {
  const lockPath = lockPathOf(storageRoot);
  const aside = `${lockPath}.${randomUUID()}`;
  try {
    await rename(lockPath, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const taken = (await look(aside))?.holder;
  if (taken !== undefined && !isDeepStrictEqual(taken, of)) await linkOnce(aside, lockPath);
  await rm(aside, { force: true });
}

/** The file, undefined when there is none; without a holder when it is not what a farm writes. */
async function look(lockPath: string): Promise<{ holder: FolderHolder | undefined; mtimeMs: number } | undefined> {
  // Opened each time: a network file system looks for changes then, and may answer `stat` alone from what it remembers.
  await using file = await open(lockPath).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return undefined;
  const [text, { mtimeMs }] = [await file.readFile('utf8'), await file.stat()];
  return { holder: parseHolder(text), mtimeMs };
}

function parseHolder(text: string): FolderHolder | undefined {
  try {
    return fileSchema.parse(JSON.parse(text));
  } catch {
    return undefined; // Not what a farm writes: so it names no process.
  }
}

function describeHolder(storageRoot: string, holder: ProcessIdentity & { isTouched?: boolean | undefined }): string {
  const { host, pid, isTouched } = holder;
  const running = `A farm already runs on ${storageRoot} (process ${pid}`;
  if (isWithinSight(holder)) return `${running})`;
  if (isTouched) return `${running} on host ${host})`;
  return `${running} on host ${host}; should that host be gone, remove ${lockPathOf(storageRoot)})`;
}
