import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import type { Redis } from 'ioredis';
import { PrivateRedis } from '../../cli/private-redis.ts';
import { producerConnection, readerConnection, waitUntilReady } from '../../shared/redis.ts';

const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-producer-'));
const server = await PrivateRedis.start(folder);
const redis = producerConnection(server.url);
const reader = readerConnection(redis);
after(async () => {
  redis.disconnect();
  reader.disconnect();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});
await Promise.all([redis, reader].map((connection) => waitUntilReady(connection, 10_000)));

/** A command in every way in which the front end gives one. */
const WAYS: [name: string, give: (connection: Redis) => Promise<unknown>][] = [
  ['a command', (connection) => connection.get('key')],
  ['a script', (connection) => connection.eval('return 1', 0)],
  ['a transaction', (connection) => connection.multi().set('key', '1').exec()],
  ['a pipeline', async (connection) => failed(await connection.pipeline().set('key', '1').exec())],
];

/** A pipeline's faults are among its answers. */
function failed(answers: [error: Error | null, result: unknown][] | null): void {
  for (const [error] of answers ?? []) if (error) throw error;
}

test('what Redis says of a command stays what it is: a fault of whoever gave it', async () => {
  await redis.set('text', 'a');
  await assert.rejects(redis.hgetall('text'), { name: 'ReplyError', message: /^WRONGTYPE/ });
  await assert.rejects(redis.eval('return nothing.at.all', 0), { name: 'ReplyError' });
});

test('a Redis that cannot serve now is unavailable', async () => {
  await redis.config('SET', 'maxmemory', '1');
  await assert.rejects(redis.set('key', 'a'), { code: 'redis_unavailable', message: /OOM/ });
  await redis.config('SET', 'maxmemory', '0');
});

test('a command that brings much, and what is sent after it, is given the time that this takes', async () => {
  await redis.client('PAUSE', 2500, 'WRITE');
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
