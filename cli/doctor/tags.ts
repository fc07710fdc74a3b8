import type { Config } from '../../shared/config/load.ts';
import { readHeartbeats } from '../../shared/workers/heartbeat.ts';
import { whyNoGpu } from '../../shared/workers/no-worker.ts';

const REDIS_PATIENCE_MS = 2000;

/** What `farm doctor` says of a model that needs tags. */
export interface TagFinding {
  readonly modelId: string;
  readonly text: string;
  readonly remedy?: string;
}

/**
 * For each model with `needs`: whether a host of the running farm takes its renders, or, where no farm can be asked,
 * whether this host would.
 */
export async function checkTags(config: Config): Promise<TagFinding[]> {
  const needy = [...config.models.values()].filter(({ needs }) => needs.length > 0);
  if (needy.length === 0) return [];
  const heartbeats = await heartbeatsOf(config);
  return needy.map(({ modelId, needs }): TagFinding => {
    const lacks = needs.filter((tag) => !config.host.tags.includes(tag));
    const here = lacks.length === 0 ? 'this host has' : `this host lacks ${lacks.join(', ')} of`;
    const text = `${here} the tags that it needs: ${needs.join(', ')}`;
    const why = heartbeats.length > 0 ? whyNoGpu(heartbeats, modelId, needs) : undefined;
    const remedy = 'start a worker on a host with these tags (host.tags, worker --tags), or correct `needs`';
    if (why) return { modelId, text: `its renders would wait: ${why}`, remedy };
    if (heartbeats.length === 0 && lacks.length > 0) return { modelId, text, remedy };
    return { modelId, text };
  });
}

/** None when Redis is not named, or does not answer: another check says so. */
async function heartbeatsOf({ redis }: Config) {
  if (!redis.url) return [];
  const { producerConnection, waitUntilReady } = await import('../../shared/redis/connections.ts');
  const connection = producerConnection(redis);
  try {
    await waitUntilReady(connection, REDIS_PATIENCE_MS);
    return await readHeartbeats(connection);
  } catch {
    return []; // As said above.
  } finally {
    connection.disconnect();
  }
}
