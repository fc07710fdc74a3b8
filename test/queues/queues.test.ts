import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { openQueue } from '../../shared/jobs/queues.ts';
import { producerConnection, waitUntilReady } from '../../shared/redis/connections.ts';
import { startRedisServer } from '../support/redis-server.ts';

describe('a queue', async () => {
  const server = await startRedisServer();

  it('writes nothing past the log when its connection has a fault', async (t) => {
    const queue = openQueue('media', await server.connect());
    const written = t.mock.method(console, 'error', () => {});
    queue.emit('error', new Error('connect ECONNREFUSED'));
    assert.equal(written.mock.callCount(), 0);
    await queue.close();
  });

  it('that was opened while Redis did not answer works once it does', async () => {
    const connection = producerConnection(server.url);
    after(() => connection.disconnect());
    const queue = openQueue('media', connection);
    await assert.rejects(queue.getJobCounts('waiting'), { code: 'redis_unavailable' });
    await waitUntilReady(connection, 10_000);
    assert.deepEqual(await queue.getJobCounts('waiting'), { waiting: 0 });
    await queue.close();
  });
});
