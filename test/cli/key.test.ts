import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { KeyRing } from '../../api/access/key-ring.ts';
import { hashApiKey } from '../../shared/api-keys.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { runCliIn } from '../support/run-cli.ts';

const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-key-'));
after(() => rm(folder, { recursive: true }));
const configPath = path.join(folder, 'config.yaml');
const farm = async (...args: string[]) => {
  const { exited, output } = runCliIn({ FARM_CONFIG: configPath, FARM_API_KEY: undefined }, ...args);
  return { exitCode: await exited, said: output() };
};
const BEFORE = '# Ours.\nhttp:\n  port: 8099 # not 8080\nauth:\n  # None yet.\n  keys: []\n';
await writeFile(configPath, BEFORE);

describe('farm key', () => {
  it('makes a key that opens the farm, keeps its hash only, and changes nothing else in the file', async () => {
    const made = await farm('key', 'new', '--name', 'studio', '--role', 'render', '--max-streams', '2', '--write');
    assert.equal(made.exitCode, 0, made.said);
    const [key = ''] = /^lsf_[\w-]{43}$/m.exec(made.said) ?? [];
    const text = await readFile(configPath, 'utf8');
    assert.ok(text.startsWith(BEFORE.replace(' []\n', '\n    - name: studio\n')), text);
    assert.ok(key !== '' && !text.includes(key));
    const { auth } = loadConfig(configPath, readEnvironment({}));
    const { caller } = new KeyRing(auth.keys).find(key);
    assert.deepEqual([caller?.keyName, caller?.role, caller?.limits.streams], ['studio', 'render', 2]);
  });

  it('refuses a second key of that name, and lists what there is', async () => {
    const again = await farm('key', 'new', '--name', 'studio', '--role', 'admin', '--write');
    assert.equal(again.exitCode, 1);
    assert.match(again.said, /has a key "studio" already.*\n.*--name.*\[key_exists\]/);
    assert.match((await farm('key', 'list')).said, /^studio +render +2 streams$/m);
    const { keys } = JSON.parse((await farm('key', 'list', '--json')).said);
    assert.deepEqual([keys.length, keys[0].name, keys[0].max_streams], [1, 'studio', 2]);
    const { key, entry, written } = JSON.parse(
      (await farm('key', 'new', '--name', 'other', '--role', 'admin', '--json')).said,
    );
    assert.deepEqual([entry.sha256, entry.role, written], [hashApiKey(key), 'admin', false]);
  });

  it('leaves a command without a key when there are only hashes, and the command says how to give one', async () => {
    const { exitCode, said } = await farm('models');
    assert.equal(exitCode, 1);
    assert.match(said, /has its API keys as hashes.*--api-key or in FARM_API_KEY.*\n.*\[unauthorised\]/);
  });
});
