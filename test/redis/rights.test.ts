import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { waitUntilReady, workerConnection } from '../../shared/redis/connections.ts';
import { FARM_COMMANDS, FARM_RULES, missingRights } from '../../shared/redis/rights.ts';
import { RedisServer } from '../support/redis-servers.ts';

/** test/faults/redis-rights.faults.ts has a whole farm run with these rights. */

const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-rights-'));
const port = await freePort();
const lines = [
  `user farm on >secret ${FARM_RULES.join(' ')}`,
  'user part on >secret ~{farm}:* &{farm}:* +@all -hset -xadd',
];
const server = await RedisServer.start(folder, { lines }, { port });
after(async () => {
  await server.kill();
  await rm(folder, { recursive: true, force: true });
});

async function rightsMissingTo(user: string): Promise<string[]> {
  const connection = workerConnection(`redis://${user}:secret@127.0.0.1:${port}`);
  try {
    await waitUntilReady(connection, 10_000);
    return await missingRights(connection, true);
  } finally {
    connection.disconnect();
  }
}

test('a user with the documented rights lacks none, and one without some is told which', async () => {
  assert.deepEqual(await rightsMissingTo('farm'), []);
  assert.deepEqual(await rightsMissingTo('part'), ['hset', 'xadd']);
  assert.deepEqual(await server.client.keys('*'), [], 'asking has done nothing');
});

test('the documented rights are those of the code', () => {
  const text = readFileSync(path.join(import.meta.dirname, '../../docs/ops/redis.md'), 'utf8');
  const [, rules = ''] = /^user farm on >\S+ (.*)$/m.exec(text) ?? [];
  assert.deepEqual(rules.split(' '), FARM_RULES);
  assert.ok(FARM_COMMANDS.length > 50);
});
