import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { hasEnded, identityOf, isSurelyAlive, ownIdentity } from '../../shared/process/process-life.ts';

test('this process is alive, and is not the one that had its id before', () => {
  const me = ownIdentity();
  assert.equal(hasEnded(me), false);
  assert.equal(isSurelyAlive(me), true);
  assert.equal(hasEnded({ ...me, startMark: 'another time' }), true);
  assert.equal(isSurelyAlive({ ...me, startMark: 'another time' }), false);
});

test('a process whose start is not known is alive, but not surely the one that was meant', () => {
  const unmarked = { ...ownIdentity(), startMark: undefined };
  assert.equal(hasEnded(unmarked), false);
  assert.equal(isSurelyAlive(unmarked), false);
});

test('a process that this user may send no signal is alive', async () => {
  const { seteuid } = process;
  if (process.getuid?.() !== 0 || !seteuid) {
    assert.throws(() => process.kill(1, 0), { code: 'EPERM' });
    assert.equal(hasEnded(identityOf(1)), false);
    return;
  }
  const theirs = spawn('sleep', ['60'], { uid: 65_533, stdio: 'ignore' });
  await once(theirs, 'spawn');
  const identity = identityOf(theirs.pid ?? 0);
  seteuid(65_534);
  try {
    assert.throws(() => process.kill(identity.pid, 0), { code: 'EPERM' });
    assert.equal(hasEnded(identity), false);
  } finally {
    seteuid(0);
    theirs.kill('SIGKILL');
  }
});

test('of a process on another host, or in another container of the same name, nothing is known', () => {
  const gone = { ...ownIdentity(), startMark: 'another time' };
  for (const elsewhere of [{ host: 'elsewhere' }, { pidSpace: 'another one' }]) {
    assert.equal(hasEnded({ ...gone, ...elsewhere }), false);
    assert.equal(isSurelyAlive({ ...ownIdentity(), ...elsewhere }), false);
  }
});

test('a process that was killed has ended', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const identity = identityOf(child.pid ?? 0);
  assert.equal(hasEnded(identity), false);
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.equal(hasEnded(identity), true);
});
