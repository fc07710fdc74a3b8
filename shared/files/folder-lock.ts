/**
 * A lock for work on a folder, between processes of one or several machines that share it: a file beside the folder.
 */

import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { hasEnded, ownIdentity, processIdentitySchema } from '../process/process-life.ts';
import { logged } from '../process/unheard.ts';

/** How often the holder touches its file. */
const TOUCH_EVERY_MS = 2000;
/** A holder that has not touched its file for this long is dead. Long enough for a busy network file system. */
const SILENCE_MS = 20_000;
const LOOK_EVERY_MS = 200;

const holderSchema = processIdentitySchema.extend({ token: z.string() });
type Holder = z.output<typeof holderSchema>;
/** Stands for a holder whose file exists but has no content yet. */
const BEING_WRITTEN: Holder = { host: '', pid: 0, token: '' };

/**
 * Waits until nobody else holds the lock, and holds it until it is disposed of. A holder that was killed is noticed at
 * once on the same machine, and from another one when its file has not been touched for 20 s as this process sees it:
 * the clocks of two machines are never compared.
 *
 * When two processes take over from the same dead holder at the same moment, both may come to hold the lock. So the
 * work that it protects must still be correct then, if slower.
 * @param path the lock's file; its folder is made when it is not there.
 * @throws `signal.reason` once the signal is aborted; errors of the file system as they are.
 */
export async function holdLock(path: string, signal: AbortSignal): Promise<AsyncDisposable> {
  const me: Holder = { ...ownIdentity(), token: randomUUID() };
  await mkdir(dirname(path), { recursive: true });
  let seen: { token: string; mtimeMs: number; atMs: number } | undefined;
  while (!(await tryTake(path, me))) {
    signal.throwIfAborted();
    const other = await look(path);
    if (other === undefined) continue;
    if (seen?.token !== other.holder.token || seen.mtimeMs !== other.mtimeMs) {
      seen = { token: other.holder.token, mtimeMs: other.mtimeMs, atMs: performance.now() };
    }
    if (hasEnded(other.holder) || performance.now() - seen.atMs > SILENCE_MS) await remove(path, other.holder.token);
    else await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
  const touching = setInterval(() => {
    const now = new Date();
    // Without any for 20 s, another process may take over, as it may from the dead.
    utimes(path, now, now).catch(logged('could not touch the lock of a folder; the next time makes up for it'));
  }, TOUCH_EVERY_MS);
  touching.unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(touching);
      await remove(path, me.token);
    },
  };
}

async function tryTake(path: string, me: Holder): Promise<boolean> {
  try {
    await writeFile(path, JSON.stringify(me), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Who holds the lock, or undefined when nobody does any more. */
async function look(path: string): Promise<{ holder: Holder; mtimeMs: number } | undefined> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    return { holder: text === '' ? BEING_WRITTEN : holderSchema.parse(JSON.parse(text)), mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Removes the lock of one holder, and puts it back should it have become another one's in the meantime. */
async function remove(path: string, token: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const taken = await look(aside);
  if (taken === undefined || taken.holder.token === token) await rm(aside, { force: true });
  else await rename(aside, path);
}
