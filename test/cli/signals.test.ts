import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { identityOf } from '../../shared/process/process-life.ts';
import { livingFamily, runCli, runCliIn } from '../support/run-cli.ts';

/** A stranger's process, which no command of the farm may end. */
function startStranger(): ChildProcess {
  return spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
}

describe('ending a farm', () => {
  let folder = '';
  let file = '';
  const strangers: ChildProcess[] = [];
  const pidFile = () => path.join(folder, 'data', 'farm.pid');

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-signals-'));
    file = path.join(folder, 'config.yaml');
    await writeFile(file, stringify({ models: {}, storage: { root: 'data' } }));
  });
  after(async () => {
    for (const stranger of strangers) stranger.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  it('demo: ends with all that it started when it is interrupted in its middle', async () => {
    const scratch = await mkdtemp(path.join(folder, 'scratch-'));
    const demo = runCliIn({ TMPDIR: scratch }, 'demo', '--out', path.join(scratch, 'out', 'demo.mp4'));
    await demo.until(/Submitting/);
    demo.child.kill('SIGINT');
    assert.equal(await demo.exited, 130, demo.output());
    assert.doesNotMatch(demo.output(), /what to do/);
    assert.deepEqual(await livingFamily(demo.family), []);
    assert.deepEqual(await readdir(scratch), ['out']);
    assert.deepEqual(await readdir(path.join(scratch, 'out')), ['demo.log']);
  });

  it('farm down ends nobody when no farm runs: not a stranger with the same id either', async () => {
    const none = runCli('down', '--config', file);
    assert.equal(await none.exited, 0);
    assert.match(none.output(), /No farm runs on/);

    const stranger = startStranger();
    strangers.push(stranger);
    await once(stranger, 'spawn');
    const identity = identityOf(stranger.pid ?? 0);
    const left = { ...identity, startMark: `${identity.startMark} before` };
    await mkdir(path.dirname(pidFile()), { recursive: true });
    await writeFile(pidFile(), JSON.stringify(left));
    const stale = runCli('down', '--config', file);
    assert.equal(await stale.exited, 0);
    assert.match(stale.output(), /No farm runs on/);

    // Without a start time nobody can know, so nobody is ended.
    await writeFile(pidFile(), JSON.stringify({ host: hostname(), pid: stranger.pid }));
    const unsure = runCli('down', '--config', file);
    assert.equal(await unsure.exited, 1);
    assert.match(unsure.output(), /\[farm_not_stopped\]/);
    assert.equal(stranger.exitCode, null);
    assert.equal(stranger.signalCode, null);
  });
});
