import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { openQueue } from '../../shared/queues.ts';
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
});
