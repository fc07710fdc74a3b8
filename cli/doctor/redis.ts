import type { Redis } from 'ioredis';
import type { Config } from '../../shared/config/load.ts';
import { producerConnection, waitUntilReady } from '../../shared/redis/connections.ts';
import { lookAtRedis } from '../../shared/redis/health.ts';
import { findRedisProblems } from '../../shared/redis/suitability.ts';
import { withoutSecrets } from '../../shared/secrets.ts';

const PATIENCE_MS = 2000;
const subject = 'Redis';
const TO_MEND = 'change it in redis.conf and restart Redis';

/** What `farm doctor` finds of a Redis that is configured. */
export async function checkConfiguredRedis(redis: Config['redis']) {
  const connection = producerConnection(redis);
  try {
    await waitUntilReady(connection, PATIENCE_MS);
    return await findingOf(connection, redis);
  } catch (error) {
    const remedy = 'start Redis or correct redis.url / REDIS_URL';
    return { subject, state: 'fault' as const, text: (error as Error).message, remedy };
  } finally {
    connection.disconnect();
  }
}

async function findingOf(connection: Redis, redis: Config['redis']) {
  const { product, facts, faults } = await lookAtRedis(connection, redis);
  const problems = (await findRedisProblems(connection)).map((text) => ({ text, remedy: TO_MEND }));
  const all = [...problems, ...faults.filter(({ isNote }) => !isNote)];
  const [first] = all;
  if (first) {
    const text = all.map((fault) => fault.text).join('; ');
    return { subject, state: 'fault' as const, text, remedy: first.remedy };
  }
  const notes = faults.map(({ text }) => text);
  const text = withoutSecrets([`${product} answers at ${redis.url}`, ...facts, ...notes].join('; '));
  return { subject, state: notes.length > 0 ? ('note' as const) : ('ok' as const), text };
}
