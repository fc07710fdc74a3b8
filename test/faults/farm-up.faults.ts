import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { buildDemoAvatar, DEMO_MODEL, PREPARED_DIR } from '../support/farm.ts';
import { type CliRun, FARM, livingFamily, runCli, runCommand } from '../support/run-cli.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

/** `farm up` below npx and npm, and one that cannot start. */

const SECONDS = 300;

describe('farm up', () => {
  let folder = '';
  let file = '';
  let url = '';
  let settings: Record<string, object> = {};
  const pidFile = () => path.join(folder, 'data', 'farm.pid');

  before(async () => {
    await buildDemoAvatar();
    folder = await mkdtemp(path.join(tmpdir(), 'farm-signals-'));
    file = path.join(folder, 'config.yaml');
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    settings = {
      models: { demo: DEMO_MODEL },
      http: { port },
      server: { port: `127.0.0.1:${await freePort()}` },
      storage: { root: 'data', prepared_dir: PREPARED_DIR },
      // One segment that a drain waits for in vain: it is handed back.
      render: { segment_frames: 10_000 },
      limits: { drain_seconds: 4 },
    };
    await writeFile(file, stringify(settings));
    await writeWav(path.join(folder, 'long.wav'), syllables(SECONDS));
  });
  after(async () => await rm(folder, { recursive: true, force: true }));

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

  it('says why a process cannot start, and leaves none behind', async () => {
    const certless = path.join(folder, 'certless.yaml');
    const tls = { cert_path: 'nothing.crt', key_path: 'nothing.key' };
    await writeFile(certless, stringify({ ...settings, grpc: { tls }, storage: { root: 'certless-data' } }));
    const run = runCli('up', '--config', certless);
    assert.equal(await run.exited, 1);
    assert.match(run.output(), /farm: api did not start: .*nothing\.crt[\s\S]*\[config_invalid\]/);
    assert.deepEqual(await livingFamily(run.family), []);
  });
});
