import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../models/growing-process.ts', import.meta.url));

for (const { explainedMb, said } of [
  { explainedMb: 0, said: 'recycle' },
  { explainedMb: 200, said: 'looked' },
]) {
  test(`a process that took 200 MB, ${explainedMb} of them for models, ${said === 'recycle' ? 'is started anew' : 'stays'}`, async () => {
    const child = fork(SCRIPT, [String(explainedMb)]);
    const [message] = (await once(child, 'message')) as [string];
    assert.equal(message, said);
    child.kill();
    await once(child, 'exit');
  });
}
