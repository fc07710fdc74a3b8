import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What no commit holds: packages, and the demo avatar, so that both builds render the same. */
const MADE = ['node_modules', 'avatars/demo/build'];

/** Another build of this project, in a folder of its own until it is disposed of. */
export interface OtherBuild extends AsyncDisposable {
  readonly root: string;
}

/**
 * Checks `ref` out beside this build, with the packages of this one: a build whose package-lock.json differs may not run.
 * Error with git's words for a ref that there is not.
 */
export async function checkOut(ref: string): Promise<OtherBuild> {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-bench-before-'));
  const root = path.join(folder, 'build');
  const remove = async () => {
    await rm(folder, { recursive: true, force: true });
    await git('worktree', 'prune');
  };
  try {
    await git('worktree', 'add', '--detach', root, ref);
    for (const made of MADE) await symlink(path.join(ROOT, made), path.join(root, made));
  } catch (error) {
    await remove();
    throw error;
  }
  return { root, [Symbol.asyncDispose]: remove };
}

async function git(...args: string[]): Promise<void> {
  await run('git', ['-C', ROOT, ...args]);
}
