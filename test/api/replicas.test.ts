import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import pino from 'pino';
import { Replicas } from '../../api/renders/replicas.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { producerConnection, waitUntilReady } from '../../shared/redis/connections.ts';
import { RedisServer } from '../support/redis-servers.ts';
import { until } from '../support/until.ts';

test('what an old primary alone has taken is not on a replica of the new one', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-replicas-'));
  const start = async (lines: readonly string[] = []) => {
    const server = await RedisServer.start(folder, { lines }, { port: await freePort() });
    t.after(() => server.kill());
    return server;
  };
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [old, primary] = [await start(), await start()];
  const replica = await start([`replicaof 127.0.0.1 ${primary.port}`, 'repl-diskless-sync-delay 0']);
  await until('the new one has a replica', async () => /master_link_status:up/.test(await replica.client.info()));

  let to = old.port;
  const open = new Set<Socket>();
  const way = createServer((socket) => {
    const onward = connect(to, '127.0.0.1');
    for (const each of [socket, onward]) open.add(each.on('error', () => {}));
    socket.pipe(onward).pipe(socket);
  });
  await once(way.listen(0, '127.0.0.1'), 'listening');
  t.after(() => way.close());
  const redis = producerConnection(`redis://127.0.0.1:${(way.address() as AddressInfo).port}`);
  t.after(() => redis.disconnect());
  await waitUntilReady(redis, 10_000);
  const replicas = new Replicas(redis, pino({ level: 'silent' }));

  const asked = replicas.haveAll().then(
    () => 'on a replica',
    ({ mayHaveRun }) => mayHaveRun,
  );
  await until('it waits for the old one', async () => (await old.client.dbsize()) === 1);
  to = primary.port;
  for (const socket of open) socket.destroy();
  assert.equal(await asked, true, 'whether it is kept is not known');
  await replicas.haveAll();
});
