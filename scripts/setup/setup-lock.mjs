import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

const POLL_MS = 200;
/** A lock without an owner's id this old was left by a process that died between two system calls. */
const OWNERLESS_MS = 5_000;

/**
 * Calls `work` while no other set-up of this folder is at work, on this machine: two npm scripts started at once must
 * not both install. The lock is a folder outside the repository, since `npm ci` empties node_modules; one whose owner
 * has died is taken over.
 */
export function withSetupLock(root, work) {
  const name = createHash('sha256').update(`${userInfo().uid}:${root}`).digest('hex').slice(0, 16);
  const lock = join(tmpdir(), `lipsync-farm-setup-${name}`);
  acquire(lock);
  try {
    return work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function acquire(lock) {
  for (let waiting = false; !tryToMake(lock); sleep(POLL_MS)) {
    const owner = ownerOf(lock);
    if (isStale(lock, owner)) takeApart(lock);
    else if (!waiting)
      process.stderr.write(`setup: waiting for another one that is at work (process ${owner ?? '?'})\n`);
    waiting = true;
  }
  writeFileSync(join(lock, 'pid'), String(process.pid));
}

/** Only one process may take a dead lock away, or the second would take the first one's new lock. */
function takeApart(lock) {
  const guard = `${lock}.stale`;
  if (!tryToMake(guard)) {
    if (ageMs(guard) > OWNERLESS_MS) rmSync(guard, { recursive: true, force: true });
    return;
  }
  try {
    if (isStale(lock, ownerOf(lock))) rmSync(lock, { recursive: true, force: true });
  } finally {
    rmSync(guard, { recursive: true, force: true });
  }
}

function isStale(lock, owner) {
  return owner === undefined ? ageMs(lock) > OWNERLESS_MS : !isAlive(owner);
}

function tryToMake(folder) {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function ownerOf(lock) {
  try {
    return Number(readFileSync(join(lock, 'pid'), 'utf8')) || undefined;
  } catch {
    return undefined; // Not written yet, or gone already.
  }
}

function ageMs(path) {
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
}

/** The check of shared/process/process-life.ts again, since an old Node cannot import TypeScript. */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function sleep(durationMs) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMs);
}
