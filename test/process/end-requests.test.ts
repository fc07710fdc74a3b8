import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

const ENTRY = path.join(import.meta.dirname, 'end-requests-entry.ts');

/** Starts a process that says which requests it gets, and ends at the second one. */
async function start(environment: NodeJS.ProcessEnv) {
  const child = spawn(process.execPath, [ENTRY], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => (await lines.next()).value as string | undefined;
  assert.equal(await next(), 'listening');
  return { child, next };
}

test('the second signal is from somebody who does not want to wait', async () => {
  const { child, next } = await start({ npm_lifecycle_event: '' });
  child.kill('SIGTERM');
  assert.equal(await next(), 'first SIGTERM');
  child.kill('SIGTERM');
  assert.equal(await next(), 'again SIGTERM');
  await once(child, 'exit');
});

test('below npm the same signal comes twice, and counts once', async () => {
  const { child, next } = await start({ npm_lifecycle_event: 'start' });
  child.kill('SIGTERM');
  assert.equal(await next(), 'first SIGTERM');
  child.kill('SIGTERM');
  child.kill('SIGINT');
  assert.equal(await next(), 'again SIGINT');
  await once(child, 'exit');
});
