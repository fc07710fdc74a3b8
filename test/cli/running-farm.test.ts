import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { freePort } from '../../cli/private-redis.ts';
import { DEMO_MODEL } from '../support/farm.ts';
import { type CliRun, livingFamily, runCli } from '../support/run-cli.ts';

describe('models on the command line', () => {
  let folder = '';
  let url = '';
  let up: CliRun;
  const configure = async (models: Record<string, object>, ports: object) =>
    await writeFile(path.join(folder, 'config.yaml'), stringify({ ...ports, models }));
  const farm = async (...args: string[]) => {
    const run = runCli('models', ...args, '--url', url);
    return { exitCode: await run.exited, output: run.output() };
  };
  let ports: object;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-cli-models-'));
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    ports = { http: { port }, server: { port: `127.0.0.1:${await freePort()}` } };
    await configure({ demo: DEMO_MODEL, broken: { ...DEMO_MODEL, crop_rects_path: '' } }, ports);
    up = runCli('up', '--config', path.join(folder, 'config.yaml'));
    await up.until(/The farm is up/);
  });
  after(async () => {
    const down = runCli('down', '--config', path.join(folder, 'config.yaml'));
    assert.equal(await down.exited, 0, down.output());
    assert.match(down.output(), /is draining[\s\S]*The farm has stopped/);
    assert.equal(await up.exited, 0);
    await rm(folder, { recursive: true, force: true });
    assert.deepEqual(await livingFamily(up.family), []);
  });

  it('are listed with what is wrong with them, loaded and unloaded', async () => {
    const before = await farm();
    assert.match(before.output, /^demo {4}not loaded$/m);
    assert.match(before.output, /^broken {2}cannot be used: crop_rects_path: not set/m);
    assert.match((await farm('load', 'demo')).output, /^demo loaded in \d+ ms on GPU 0$/m);
    assert.match((await farm('load', 'demo', '--gpu', '0')).output, /^demo was loaded on GPU 0$/m);
    assert.match(
      (await farm()).output,
      /^demo {4}GPU 0: [\d.]+ MB, [\d.]+ ms\/frame(, prepared: \d+ of \d+ pictures)?$/m,
    );
    assert.match((await farm('unload', 'demo')).output, /^demo unloaded on GPU 0$/m);
    const refused = await farm('unload', 'demo');
    assert.deepEqual([refused.exitCode, /request_invalid/.test(refused.output)], [1, true], refused.output);
  });

  it('are read again when the farm gets a SIGHUP, which does not end it', async () => {
    up.child.kill('SIGHUP');
    await up.until(/(configuration reloaded[\s\S]*){3}/);
    assert.match((await farm()).output, /^demo/m);
  });
});
