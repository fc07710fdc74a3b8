import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';

const ENTRY = fileURLToPath(new URL('../../worker/engine/pipeline-thread-main.ts', import.meta.url));

it('the entry of the pipeline thread refuses to run as a process of its own', () => {
  const { status, stderr } = spawnSync(process.execPath, [ENTRY], { encoding: 'utf8', timeout: 60_000 });
  assert.equal(status, 1);
  assert.match(stderr, /start it as a thread/);
});
