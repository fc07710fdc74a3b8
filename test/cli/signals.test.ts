import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { freePort } from '../../cli/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { identityOf } from '../../shared/process/process-life.ts';
import { DEMO_MODEL } from '../support/farm.ts';
import { type CliRun, FARM, livingFamily, runCli, runCliIn, runCommand } from '../support/run-cli.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/** A stranger's process, which no command of the farm may end. */
function startStranger(): ChildProcess {
  return spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
}

describe('ending a farm', () => {
  let folder = '';
  let file = '';
  let url = '';
  const strangers: ChildProcess[] = [];
  const pidFile = () => path.join(folder, 'data', 'farm.pid');

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-signals-'));
    file = path.join(folder, 'config.yaml');
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const settings = {
      models: { demo: DEMO_MODEL },
      http: { port },
      server: { port: `127.0.0.1:${await freePort()}` },
      // One segment that a drain waits for in vain: it is handed back.
      render: { segment_frames: 10_000 },
      limits: { drain_seconds: 4 },
    };
    await writeFile(file, stringify(settings));
    await writeWav(path.join(folder, 'long.wav'), syllables(300));
  });
  after(async () => {
    for (const stranger of strangers) stranger.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  /** The process of `farm up` itself, as it printed it. */
  const printedPid = (run: CliRun) => Number(/The farm is up \(process (\d+)\)/.exec(run.output())?.[1]);

  it('drains when npx is ended, with a shell in between, and ends at once when it is asked again', async () => {
    // What `npx farm up` runs, less the link in node_modules that npm made.
    const npx = runCommand('npm', ['exec', '-c', `${FARM} up --config ${file}`]);
    await npx.until(/The farm is up/);
    const pid = printedPid(npx);
    assert.equal(JSON.parse(await readFile(pidFile(), 'utf8')).pid, pid);
    const client = new NodeFarmClient(url);
    const { id } = await client.submit(path.join(folder, 'long.wav'));
    for await (const view of client.watch(id)) if (view.frames.done > 0) break;

    const gone = once(npx.child, 'exit');
    npx.child.kill('SIGTERM');
    await gone;
    await until('it drains', () => npx.output().includes('Draining'));
    process.kill(pid, 'SIGTERM');
    await npx.exited;
    assert.match(npx.output(), /Ending at once/);
    assert.doesNotMatch(npx.output(), /The farm has stopped|please report/);
    // The processes of the farm, their ffmpeg and Redis; npx and its shell went before.
    await until('nothing is left', async () => (await livingFamily(npx.family)).length === 0);
  });

  it('gets the signals of npm start, drains, and goes on with its renders when it is started again', async () => {
    const npm = runCommand('npm', ['start', '--', '--config', file]);
    await npm.until(/The farm is up/);
    const client = new NodeFarmClient(url);
    const [render] = (await client.list()).renders;
    assert.ok(render, 'the render of the farm that was ended at once is gone');
    for await (const view of client.watch(render.id)) if (view.frames.done > 0 && view.frames.repeating === 0) break;
    npm.child.kill('SIGTERM');
    await until('it drains', () => npm.output().includes('Draining'));
    // A supervisor like systemd signals all processes of a service: the farm gets its own, and that of npm.
    process.kill(printedPid(npm), 'SIGTERM');
    assert.equal(await npm.exited, 0, npm.output());
    assert.match(npm.output(), /The farm has stopped/);
    assert.deepEqual(await livingFamily(npm.family), []);
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
