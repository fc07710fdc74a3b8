import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Redis } from 'ioredis';
import {
  producerConnection,
  type RedisPlace,
  readerConnection,
  waitUntilReady,
  workerConnection,
} from '../../shared/redis/connections.ts';
import { lookAtRedis } from '../../shared/redis/health.ts';
import { FARM_SLOT } from '../../shared/redis/primary-finder.ts';
import { ClusterServers, missingTls, SentinelServers } from '../support/redis-servers.ts';
import { until } from '../support/until.ts';

/** Connections by Sentinels and to a cluster, while the primary moves in good order. test/faults/ has it killed. */

const WITHIN_MS = 10_000;

interface Connections {
  readonly worker: Redis;
  readonly producer: Redis;
  readonly reader: Redis;
}

async function connect(t: TestContext, place: RedisPlace): Promise<Connections> {
  const producer = producerConnection(place);
  const all = { producer, worker: workerConnection(place), reader: readerConnection(producer) };
  t.after(() => {
    for (const connection of Object.values(all)) connection.disconnect();
  });
  await Promise.all(Object.values(all).map((connection) => waitUntilReady(connection, WITHIN_MS)));
  return all;
}

/** The port that a connection leads to. */
const portOf = async (connection: Redis) => Number(/tcp_port:(\d+)/.exec(await connection.info('server'))?.[1]);

/** Something that every server has: replication is not waited for by itself. */
async function keepEverywhere({ producer }: Connections): Promise<void> {
  await producer.set('{farm}:before', 'kept');
  await until('the replica has it', async () => (await producer.wait(1, 500)) === 1);
}

/** A read that waits, a worker's commands and a front end's: all go on at the new primary. */
async function followsTo(port: number, { worker, producer, reader }: Connections): Promise<void> {
  await until('all of them lead to the new primary', async () => {
    const ports = await Promise.all([worker, producer, reader].map((one) => portOf(one).catch(() => 0)));
    return ports.every((one) => one === port);
  });
  assert.equal(await worker.get('{farm}:before'), 'kept');
  const read = reader.xread('BLOCK', WITHIN_MS, 'STREAMS', '{farm}:stream', '0');
  await producer.xadd('{farm}:stream', '*', 'field', 'value');
  assert.equal((await read)?.length, 1);
}

const noTls = missingTls();

test('Sentinels name the primary, over TLS and with passwords; connections follow it', { skip: noTls }, async (t) => {
  const passwords = { server: 'of@the/server', sentinel: 'of:the/sentinel' };
  await using servers = await SentinelServers.start({ replicas: 1, sentinels: 1, tls: true, passwords });
  const place = servers.ofFarm;
  const connections = await connect(t, place);
  const before = await servers.primary();
  await keepEverywhere(connections);
  const { facts, faults } = await lookAtRedis(connections.worker, place);
  assert.deepEqual(facts, [`the primary is 127.0.0.1:${before.port}`, 'replicas that are up to date: 1 of 1']);
  assert.deepEqual(faults, []);
  await servers.failOver();
  await until('there is another primary', async () => (await servers.primary()) !== before);
  await followsTo((await servers.primary()).port, connections);

  assert.ok(place.tls);
  const stranger = workerConnection({ ...place, tls: { ...place.tls, servername: 'other.test' } });
  t.after(() => stranger.disconnect());
  await assert.rejects(waitUntilReady(stranger, 500), {
    code: 'redis_unavailable',
    message: /^No Redis answered at the primary "farm" of the Sentinels 127\.0\.0\.1:\d+ within 500 ms$/,
  });
});

test('the node of a cluster that has the slot of the farm is found; connections follow the slot', async (t) => {
  await using servers = await ClusterServers.start({ primaries: 1, replicas: 1 });
  const connections = await connect(t, servers.url);
  assert.equal(await connections.worker.call('CLUSTER', 'KEYSLOT', '{farm}:any'), FARM_SLOT);
  const before = await servers.primaryOf(FARM_SLOT);
  await keepEverywhere(connections);
  const replica = servers.servers.find((server) => server !== before);
  await replica?.client.call('CLUSTER', 'FAILOVER');
  await until('the slot has another node', async () => (await servers.primaryOf(FARM_SLOT)) !== before);
  await followsTo((await servers.primaryOf(FARM_SLOT)).port, connections);
});
