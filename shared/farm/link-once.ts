import { constants } from 'node:fs';
import { copyFile, link } from 'node:fs/promises';

/**
 * Gives a finished file a second name, unless that name is taken: so nobody ever reads half of it, and of several
 * processes at once one wins. Returns whether it was this one.
 */
export async function linkOnce(from: string, to: string): Promise<boolean> {
  // Some file systems have no links. A copy may be seen half written, in a moment that is hard to hit.
  const copy = (error: NodeJS.ErrnoException) =>
    error.code === 'EEXIST' ? Promise.reject(error) : copyFile(from, to, constants.COPYFILE_EXCL);
  try {
    await link(from, to).catch(copy);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
