import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import type { Redis } from 'ioredis';
import { PrivateRedis } from '../../cli/supervisor/private-redis.ts';
import { waitUntilReady, workerConnection } from '../../shared/redis/connections.ts';

const READY_WITHIN_MS = 10_000;

export interface TestRedis {
  readonly url: string;
  /** A connection that is ready, and is closed after the last test of the file. */
  connect(): Promise<Redis>;
}

/**
 * Starts a Redis for one test file, on a free port and in a folder of its own; both are gone after its last test.
 * Call it at the top of the file, before its tests.
 */
export async function startRedisServer(): Promise<TestRedis> {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-redis-'));
  const connections: Redis[] = [];
  const server = await PrivateRedis.start(folder);
  after(async () => {
    for (const connection of connections) connection.disconnect();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    url: server.url,
    async connect() {
      const connection = workerConnection(server.url);
      connections.push(connection);
      await waitUntilReady(connection, READY_WITHIN_MS);
      return connection;
    },
  };
}
