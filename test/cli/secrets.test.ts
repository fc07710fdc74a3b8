import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { stringify } from 'yaml';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { hashApiKey } from '../../shared/api-keys.ts';
import { loadConfig } from '../../shared/config/load.ts';
import type { FarmError } from '../../shared/errors/farm-error.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { ifMissing } from '../../shared/process/unheard.ts';
import { waitUntilReady } from '../../shared/redis/connections.ts';
import { type CliRun, livingFamily, runCliIn } from '../support/run-cli.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { standInTools } from '../support/tools.ts';
import { until } from '../support/until.ts';

const PLAIN_KEY = 'plain-Key-that-nobody-shall-see';
const HASHED_KEY = 'hashed-Key-that-nobody-shall-see';
const WRONG_KEY = 'wrong-Key-that-nobody-shall-see';
const PASSWORD = 'redis-Pass-that-nobody/shall@see';
/** In every form in which they might show. */
const SECRETS = [
  PLAIN_KEY,
  HASHED_KEY,
  WRONG_KEY,
  PASSWORD,
  encodeURIComponent(PASSWORD),
  'nobody-shall',
  'nobody%2Fshall',
];

function refuseSecrets(text: string, where: string): void {
  for (const secret of SECRETS) {
    const at = text.indexOf(secret);
    assert.equal(at, -1, `${where} has a secret: ${text.slice(Math.max(0, at - 120), at + 80)}`);
  }
}

describe('a farm with secrets in its configuration and its environment', () => {
  let folder = '';
  let url = '';
  let redisPort = 0;
  let redis: ReturnType<typeof spawn>;
  let farm: CliRun;
  let environment: NodeJS.ProcessEnv = {};
  let connection: Redis;

  before(async () => {
    await buildSmallAvatar();
    folder = await mkdtemp(path.join(tmpdir(), 'farm-secrets-'));
    redisPort = await freePort();
    redis = spawn(
      'redis-server',
      ['-', '--port', String(redisPort), '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
      {
        stdio: ['pipe', 'ignore', 'ignore'],
      },
    );
    redis.stdin?.end(`requirepass ${PASSWORD}\n`);
    connection = new Redis({ port: redisPort, password: PASSWORD });
    connection.on('error', () => {}); // It may come before Redis does, and is cut off at the end.
    await waitUntilReady(connection, 10_000);
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    await writeFile(
      path.join(folder, 'config.yaml'),
      stringify({
        models: { demo: SMALL_MODEL },
        http: { port },
        server: { port: await freePort() },
        auth: { keys: [{ name: 'hashed', sha256: hashApiKey(HASHED_KEY), role: 'admin' }] },
        storage: { root: 'data' },
        logging: { level: 'trace' },
      }),
    );
    const tools = await standInTools(path.join(folder, 'bin'));
    for (const tool of ['ffmpeg', 'ffprobe'] as const) {
      await tools.replace(tool, `env >> ${path.join(folder, `${tool}.env`)}\nexec "$REAL" "$@"`);
    }
    environment = {
      PATH: tools.path,
      FARM_AUTH__API_KEYS: JSON.stringify([PLAIN_KEY]),
      REDIS_URL: `redis://:${encodeURIComponent(PASSWORD)}@127.0.0.1:${redisPort}`,
    };
    farm = runCliIn(environment, 'up', '--config', path.join(folder, 'config.yaml'));
    await farm.until(/The farm is up/);
  });
  after(async () => {
    farm?.child.kill('SIGTERM');
    await farm?.exited;
    connection?.disconnect();
    redis?.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  it('answers without them, whatever is asked and with whatever key', async () => {
    const client = new NodeFarmClient(url, HASHED_KEY);
    const speech = path.join(folder, 'speech.wav');
    // Of a rate at which the farm leaves the file to ffprobe.
    await writeWav(speech, syllables(0.4, 96_000), 96_000);
    const { id } = await client.submit(speech);
    await client.finished(id);
    const paths = [
      '/',
      '/readyz',
      '/openapi.json',
      '/v1/gpus',
      '/v1/models',
      '/v1/renders',
      `/v1/renders/${id}`,
      `/v1/renders/${id}/receipt`,
    ];
    const queues = ['gpu-0', 'media'].map((name) => `/dashboard/api/queues?activeQueue=${name}&status=completed`);
    for (const asked of [...paths, '/dashboard', ...queues, '/dashboard/api/redis/stats', '/v1/nothing']) {
      for (const key of [HASHED_KEY, PLAIN_KEY, WRONG_KEY]) {
        for (const authorization of [`Bearer ${key}`, `Basic ${Buffer.from(`user:${key}`).toString('base64')}`]) {
          const answer = await fetch(`${url}${asked}`, { headers: { authorization, accept: '*/*' } });
          refuseSecrets(JSON.stringify([...answer.headers]) + (await answer.text()), asked);
        }
      }
    }
    const signIn = await fetch(`${url}/dashboard/sign-in`, {
      method: 'POST',
      body: new URLSearchParams({ key: WRONG_KEY }),
    });
    refuseSecrets(await signIn.text(), 'the form to sign in');
  });

  it('keeps them out of Redis, of its folder, and of what other users see of its processes', async () => {
    const keys = await connection.keys('*');
    assert.ok(keys.length > 10);
    const dump = path.join(folder, 'dump.rdb');
    await connection.config('SET', 'rdbcompression', 'no');
    await connection.save();
    refuseSecrets(await readFile(dump, 'latin1'), 'Redis');
    const data = path.join(folder, 'data');
    assert.equal((await stat(data)).mode & 0o777, 0o700, 'others may not look into the data folder');
    await until('what the render was made from has gone', async () => {
      const names = await readdir(path.join(data, 'renders'), { recursive: true }).catch(ifMissing([]));
      return names.length > 0 && !names.some((name) => /segments|audio|upload/.test(name));
    });
    for (const file of await readdir(data, { recursive: true, withFileTypes: true })) {
      const place = path.join(file.parentPath, file.name);
      // The farm still writes: a file may have another name by now.
      if (file.isFile()) refuseSecrets(await readFile(place, 'latin1').catch(ifMissing('')), file.name);
    }
    for (const tool of ['ffmpeg', 'ffprobe']) {
      const known = await readFile(path.join(folder, `${tool}.env`), 'utf8');
      assert.match(known, /^PATH=/m);
      assert.ok(!/^(?:REDIS|FARM)_/m.test(known), `${tool} knows the farm's environment`);
      refuseSecrets(known, `the environment of ${tool}`);
    }
    if (process.platform !== 'linux') return;
    for (const pid of await livingFamily(farm.family)) {
      refuseSecrets(await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => ''), `process ${pid}`);
    }
  });

  it('says nothing of them on its console, in `farm doctor`, nor of a configuration that is wrong', async () => {
    const config = path.join(folder, 'config.yaml');
    const doctor = runCliIn(environment, 'doctor', '--config', config);
    await doctor.exited;
    refuseSecrets(doctor.output(), 'farm doctor');
    assert.match(doctor.output(), /answers at redis:\/\/\*\*\*@127\.0\.0\.1:/);
    const wrong = path.join(folder, 'wrong.yaml');
    const badUrl = `redis//:${PASSWORD}@here`;
    for (const settings of [
      { auth: PLAIN_KEY },
      { auth: { api_keys: PLAIN_KEY } },
      { auth: { keys: [{ name: 'a', sha256: PLAIN_KEY, role: PLAIN_KEY }] } },
      { redis: { url: badUrl } },
      { redis: badUrl },
      { redis: { [`redis://:${encodeURIComponent(PASSWORD)}@here`]: 1 } },
    ]) {
      await writeFile(wrong, stringify(settings));
      assert.throws(
        () => loadConfig(wrong, readEnvironment({})),
        ({ code, message }: FarmError) => {
          assert.equal(code, 'config_invalid');
          refuseSecrets(message, JSON.stringify(Object.keys(settings)));
          return true;
        },
      );
    }
    for (const broken of [
      `auth: { api_keys: [*${PLAIN_KEY}] }`,
      `auth: { api_keys: [!${PLAIN_KEY} x] }`,
      `auth:\n  api_keys: |${PLAIN_KEY}\n`,
      `auth: { api_keys: ["${PLAIN_KEY}] }`,
      `%${PLAIN_KEY} 1\n---\nauth: {}`,
    ]) {
      await writeFile(wrong, broken);
      assert.throws(
        () => loadConfig(wrong, readEnvironment({})),
        (error: FarmError) => {
          assert.equal(error.code, 'config_invalid');
          refuseSecrets(inspect(error), broken.replace(PLAIN_KEY, '…'));
          return true;
        },
      );
    }
    // All of this was logged, at the level `trace`.
    farm.child.kill('SIGTERM');
    await farm.exited;
    refuseSecrets(farm.output(), 'farm up');
    assert.match(farm.output(), /Redis {6}redis:\/\/\*\*\*@127\.0\.0\.1:/);
  });
});

it('a farm of its own Redis keeps that from the other users of the machine', async () => {
  const { PrivateRedis } = await import('../../cli/supervisor/private-redis.ts');
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-secrets-redis-'));
  const own = await PrivateRedis.start(folder);
  try {
    const { password, port, host } = new URL(own.url);
    assert.ok(password.length >= 32);
    const stranger = new Redis({ host: host.split(':')[0] ?? '', port: Number(port), retryStrategy: () => null });
    stranger.on('error', () => {});
    await assert.rejects(stranger.keys('*'), /NOAUTH/);
    stranger.disconnect();
    const { pid } = JSON.parse(await readFile(path.join(folder, 'redis.pid'), 'utf8'));
    if (process.platform === 'linux') assert.ok(!(await readFile(`/proc/${pid}/cmdline`, 'utf8')).includes(password));
    for (const name of await readdir(folder, { recursive: true })) {
      const file = path.join(folder, name);
      if ((await stat(file)).isFile()) assert.ok(!(await readFile(file, 'latin1')).includes(password), name);
    }
  } finally {
    await own.stop();
    await rm(folder, { recursive: true, force: true });
  }
});
