import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { holdLock } from '../../shared/files/folder-lock.ts';
import { ownIdentity } from '../../shared/process/process-life.ts';
import { openWorkspace } from '../models/workspace.ts';

const GOING_ON = new AbortController().signal;

test('one holder at a time, each after the other', async (t) => {
  const { folder } = await openWorkspace(t);
  let holders = 0;
  let turns = 0;
  const hold = async () => {
    await using _lock = await holdLock(join(folder, 'lock'), GOING_ON);
    holders += 1;
    assert.equal(holders, 1);
    await stat(join(folder, 'lock'));
    turns += 1;
    holders -= 1;
  };
  await Promise.all([hold(), hold(), hold()]);
  assert.equal(turns, 3);
  assert.deepEqual(await readdir(folder), []);
});

test('the lock of a process of this machine that has ended is taken over', async (t) => {
  const { folder } = await openWorkspace(t);
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  await writeFile(join(folder, 'lock'), JSON.stringify({ ...ownIdentity(), pid: child.pid, token: 'old' }));
  await using _lock = await holdLock(join(folder, 'lock'), GOING_ON);
  assert.deepEqual(await readdir(folder), ['lock']);
});

test('the lock of another machine is waited for', async (t) => {
  const { folder } = await openWorkspace(t);
  const path = join(folder, 'lock');
  await writeFile(path, JSON.stringify({ host: 'elsewhere', pid: 1, token: 'theirs' }));
  const impatient = new AbortController();
  const waiting = holdLock(path, impatient.signal);
  const reason = new Error('enough');
  impatient.abort(reason);
  await assert.rejects(waiting, reason);
  const held = holdLock(path, GOING_ON);
  await rm(path);
  await using _lock = await held;
  assert.deepEqual(await readdir(folder), ['lock']);
});

test('a lock in a place that cannot be written to is an error, not a wait', async (t) => {
  const { folder } = await openWorkspace(t);
  await writeFile(join(folder, 'file'), '');
  await assert.rejects(holdLock(join(folder, 'file', 'sub', 'lock'), GOING_ON), { code: 'ENOTDIR' });
});
