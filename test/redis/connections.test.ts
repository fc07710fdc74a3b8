import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { PrivateRedis } from '../../cli/supervisor/private-redis.ts';
import {
  producerConnection,
  readerConnection,
  waitUntilReady,
  workerConnection,
} from '../../shared/redis/connections.ts';
import { until } from '../support/until.ts';

const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-producer-'));
const server = await PrivateRedis.start(folder);
/** Of which the first one can be made a copy. */
const other = await PrivateRedis.start(path.join(folder, 'other'));
const [otherHost = '', otherPort = ''] = new URL(other.url).host.split(':');
const redis = producerConnection(server.url);
const worker = workerConnection(server.url);
/** Gives orders only, so that no refused command ends its connection. */
const operator = workerConnection(server.url);
const reader = readerConnection(redis);
after(async () => {
  redis.disconnect();
  reader.disconnect();
  worker.disconnect();
  operator.disconnect();
  await other.stop();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});
await Promise.all([redis, reader, worker, operator].map((connection) => waitUntilReady(connection, 10_000)));

/** A command in every way in which the front end gives one. */
const WAYS: [name: string, give: (connection: Redis) => Promise<unknown>][] = [
  ['a command', (connection) => connection.get('key')],
  ['a script', (connection) => connection.eval('return 1', 0)],
  ['a transaction', (connection) => connection.multi().set('key', '1').exec()],
  ['a pipeline', async (connection) => failed(await connection.pipeline().set('key', '1').exec())],
];

const WRITES: typeof WAYS = [
  ['a command', (connection) => connection.set('key', 'a')],
  ['a script', (connection) => connection.eval("return redis.call('SET', KEYS[1], 'a')", 1, 'key')],
  ...WAYS.slice(2),
];

async function connected(connection: Redis): Promise<Redis> {
  await waitUntilReady(connection, 10_000);
  return connection;
}

/** A pipeline's faults are among its answers. */
function failed(answers: [error: Error | null, result: unknown][] | null): void {
  for (const [error] of answers ?? []) if (error) throw error;
}

test('what Redis says of a command stays what it is: a fault of whoever gave it', async () => {
  await redis.set('text', 'a');
  await assert.rejects(redis.hgetall('text'), { name: 'ReplyError', message: /^WRONGTYPE/ });
  await assert.rejects(redis.eval('return nothing.at.all', 0), { name: 'ReplyError' });
});

/** States in which a Redis that runs takes no writes, and how it gets into them. */
const REFUSING: [word: string, begin: () => Promise<unknown>, end: () => Promise<unknown>][] = [
  ['OOM', () => operator.config('SET', 'maxmemory', '1'), () => operator.config('SET', 'maxmemory', '0')],
  ['READONLY', () => operator.replicaof(otherHost, otherPort), () => operator.replicaof('NO', 'ONE')],
  [
    'NOREPLICAS',
    () => operator.config('SET', 'min-replicas-to-write', '1'),
    () => operator.config('SET', 'min-replicas-to-write', '0'),
  ],
  ['MISCONF', () => failToSave(), () => operator.config('SET', 'save', '')],
];

/** A Redis that is to save and cannot takes no writes: here a folder lies where its file belongs. */
async function failToSave(): Promise<void> {
  await mkdir(path.join(folder, 'dump.rdb', 'in the way'), { recursive: true });
  await operator.config('SET', 'save', '3600 1000000');
  await operator.bgsave();
  await until('it could not save', async () => (await operator.info('persistence')).includes('last_bgsave_status:err'));
}

for (const [word, begin, end] of REFUSING) {
  test(`a Redis that answers ${word} is unavailable, in whatever way it is asked, and serves again afterwards`, async (t) => {
    t.after(end);
    await begin();
    const message = new RegExp(`^Redis refuses to work: (?:${word}|EXECABORT) `);
    for (const [name, give] of WRITES) {
      await assert.rejects(give(worker), { code: 'redis_unavailable', message }, name);
      // It may be without a connection for a moment, which it made again because Redis is a copy now.
      await assert.rejects(give(redis), { code: 'redis_unavailable' }, name);
    }
    await end();
    for (const connection of [redis, worker]) {
      await until(`${word} is over`, () =>
        connection.set('key', 'a').then(
          () => true,
          () => false,
        ),
      );
    }
  });
}

test('a connection to a Redis that was made a copy is made again, since its address may lead elsewhere', async (t) => {
  t.after(() => operator.replicaof('NO', 'ONE'));
  let left = false;
  redis.once('close', () => {
    left = true;
  });
  await operator.replicaof(otherHost, otherPort);
  await until('it is left', async () => {
    await assert.rejects(redis.set('key', 'a'), { code: 'redis_unavailable' });
    return left;
  });
  await operator.replicaof('NO', 'ONE');
  await until('it is connected again', () => redis.status === 'ready');
});

test('connections that Redis lets in no more are made again by themselves when it lets them in', async (t) => {
  const { password } = new URL(server.url);
  const letIn = async () => {
    await operator.call('ACL', 'SETUSER', 'default', 'on');
    await operator.config('SET', 'requirepass', password);
  };
  t.after(letIn);
  const ask = (connection: Redis) => connection.set('key', 'a');
  for (const begin of [
    // Those that there are stay known, and are cut by the next order.
    () => operator.config('SET', 'requirepass', 'another'),
    // Neither they nor new ones are known: an answer says so, NOAUTH or NOPERM.
    () => operator.call('ACL', 'SETUSER', 'default', 'off'),
  ]) {
    await begin();
    await operator.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await until('a worker is told so', async () => {
      const answer = await Promise.race([ask(worker).catch((error: Error) => error), delay(200)]);
      if (answer instanceof Error) assert.match(`${answer.message}`, /^Redis refuses to work|^Redis does not answer/);
      return answer instanceof Error;
    });
    await assert.rejects(ask(redis), { code: 'redis_unavailable' });
    await letIn();
    for (const connection of [redis, reader, worker]) {
      await until('it is let in again', () =>
        ask(connection).then(
          () => true,
          () => false,
        ),
      );
    }
  }
});

test('a Redis that wants a password which a worker does not give is unavailable until it wants none', async (t) => {
  const { host, password } = new URL(server.url);
  const stranger = workerConnection(`redis://${host}`);
  t.after(async () => {
    stranger.disconnect();
    await operator.config('SET', 'requirepass', password);
  });
  await assert.rejects(stranger.set('key', 'a'), { code: 'redis_unavailable', message: /NOAUTH/ });
  await operator.config('SET', 'requirepass', '');
  await waitUntilReady(stranger, 10_000);
  assert.equal(await stranger.set('key', 'a'), 'OK');
});

test('a connection that waits to be made again ends when it is told to, with all that was under way on it', async () => {
  const connection = await connected(workerConnection(server.url));
  const id = await connection.client('ID');
  const underWay = assert.rejects(connection.bzpopmin('nothing', 0), { message: 'Connection is closed.' });
  const cut = once(connection, 'reconnecting');
  await operator.client('KILL', 'ID', id);
  await cut;
  const ended = once(connection, 'end');
  connection.disconnect();
  await Promise.all([ended, underWay]);
});

test('a command that brings much, and what is sent after it, is given the time that this takes', async () => {
  await redis.client('PAUSE', 3000, 'WRITE');
  const small = assert.rejects(redis.set('small', 'a'), { code: 'redis_unavailable' });
  const pictures = redis.hset('large', 'pictures', Buffer.alloc(40 * 2 ** 20));
  await Promise.all([small, pictures, redis.set('after', 'it')]);
  assert.equal(await redis.get('after'), 'it');
});

test('a Redis that is away is unavailable, in whatever way it is asked, and over a second connection too', async () => {
  await server.stop();
  for (const [name, give] of WAYS) await assert.rejects(give(redis), { code: 'redis_unavailable' }, name);
  await assert.rejects(redis.get('key'), { message: /^Redis does not answer: (?!Stream)/ });
  reader.options.maxRetriesPerRequest = 0;
  await assert.rejects(reader.xread('BLOCK', 1, 'STREAMS', 'key', '0'), { code: 'redis_unavailable' });
});
