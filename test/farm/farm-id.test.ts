import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { stringify } from 'yaml';
import { ENTRIES } from '../../cli/supervisor/farm-processes.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import type { FarmError } from '../../shared/errors/farm-error.ts';
import { folderMark } from '../../shared/farm/folder-mark.ts';
import { confirmFarm, isSameFarm } from '../../shared/farm/identity.ts';
import { RenderStore } from '../../shared/renders/store.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { runCli, runCommand } from '../support/run-cli.ts';
import { SAMPLE_REQUEST } from '../support/sample-render.ts';

const server = await startRedisServer();
const redis = await server.connect();
const root = await mkdtemp(path.join(tmpdir(), 'farm-test-id-'));
after(() => rm(root, { recursive: true, force: true }));

const warnings: string[] = [];
const log = { info: () => {}, warn: (_: object, message: string) => void warnings.push(message) };
const folder = (name: string) => path.join(root, name);
const confirm = (name: string) => confirmFarm(redis, folderMark(folder(name)), log);
const codeOf = (error: FarmError) => error.code;

describe('the id of a farm', () => {
  beforeEach(async () => {
    await redis.flushall();
    await rm(root, { recursive: true, force: true });
    warnings.length = 0;
  });

  it('is made once, by whichever of several processes is first', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => confirm('mine')));
    assert.equal(new Set(ids).size, 1);
    assert.deepEqual(warnings, []);
    assert.deepEqual(await readdir(folder('mine')), ['farm.id']);
    assert.ok(await isSameFarm(redis, folderMark(folder('mine'))));
  });

  it('is given to a Redis that lost its data, and the log says so', async () => {
    const id = await confirm('mine');
    await redis.flushall();
    assert.equal(await isSameFarm(redis, folderMark(folder('mine'))), false);
    assert.equal(await confirm('mine'), id);
    assert.match(warnings.join(), /renders from before are not known/);
  });

  it('is never given to a folder that a Redis with an id finds empty; writing it there is the way on', async () => {
    const id = await confirm('mine');
    const error = await confirm('not-mounted').catch((thrown: FarmError) => thrown);
    assert.ok(typeof error !== 'string');
    assert.equal(error.code, 'storage_unmarked');
    assert.match(error.message, new RegExp(`${id}.*not-mounted.*write ${id} into .*farm.id`));
    await mkdir(folder('not-mounted'));
    await writeFile(path.join(folder('not-mounted'), 'farm.id'), id);
    assert.equal(await confirm('not-mounted'), id);
  });

  it('is refused beside that of another farm, also when both begin at the same moment', async () => {
    const both = await Promise.allSettled([confirm('mine'), confirm('other')]);
    const refused = both.filter((result) => result.status === 'rejected');
    assert.equal(refused.length, 1);
    assert.match(codeOf(refused[0]?.reason), /farm_mismatch|storage_unmarked/);
  });

  it('is not given to an empty folder beside the renders of a farm that had none', async () => {
    await new RenderStore(redis).admit('r0-a', SAMPLE_REQUEST, 10, undefined);
    await assert.rejects(confirm('empty'), { code: 'storage_unmarked' });
    await mkdir(path.join(folder('full'), 'renders'), { recursive: true });
    assert.match(await confirm('full'), /^farm-/);
  });

  it('stops the front end, a worker and farm up with another folder by name', async () => {
    await confirm('mine');
    const [port, grpcPort] = [await freePort(), await freePort()];
    const settings = { http: { port }, server: { port: `127.0.0.1:${grpcPort}` }, redis: { url: server.url } };
    const config = folder('config.yaml');
    await writeFile(config, stringify({ ...settings, storage: { root: 'other' } }));
    const environment = { FARM_CONFIG: config };
    const runs = [
      runCommand(process.execPath, [ENTRIES.api], { environment }),
      runCommand(process.execPath, [ENTRIES.worker, '--media'], { environment }),
      runCli('up', '--config', config),
    ];
    for (const { exited, output } of runs) {
      assert.equal(await exited, 1);
      assert.match(output(), /storage_unmarked/);
      assert.match(output(), /volume may not be mounted/);
    }
    assert.doesNotMatch(await readdir(folder('other')).then(String, () => ''), /farm.id/);
    assert.match(await readFile(path.join(folder('mine'), 'farm.id'), 'utf8'), /^farm-/);
  });
});
