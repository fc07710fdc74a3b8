import { openArtifacts, storeSettings } from '../shared/artifacts/open.ts';
import type { Config } from '../shared/config/load.ts';
import { ConfigReload } from '../shared/config/reload.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { farmMark } from '../shared/farm/farm-mark.ts';
import { confirmAfterReconnects, confirmFarm } from '../shared/farm/identity.ts';
import { type Logger, writeOut } from '../shared/process/log.ts';
import { endNow } from '../shared/process/shutdown.ts';
import { liveAddress } from '../shared/redis/address.ts';
import { type RedisPlace, waitUntilReady, workerConnection } from '../shared/redis/connections.ts';
import { findRedisProblems } from '../shared/redis/suitability.ts';
import { RenderStore } from '../shared/renders/store.ts';
import { CancelWatch } from './jobs/cancellation.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { OwnHost } from './own-host.ts';

const REDIS_PATIENCE_MS = 30_000;

/**
 * Waits for Redis, checks that it suits the farm, and makes the tools of both roles.
 * @param tags of this host, beside those of the configuration.
 * @throws FarmError `config_invalid` when no Redis is named; `redis_unsuitable`; those of `confirmFarm`.
 */
export async function makeTools(config: Config, log: Logger, tags: readonly string[] = []): Promise<WorkerTools> {
  const configReload = new ConfigReload(config, log);
  const connection = workerConnection(redisPlace(config));
  const subscriber = workerConnection(redisPlace(config));
  const live = config.redis.live_url ? workerConnection(liveAddress(config.redis)) : connection;
  await waitUntilReady(connection, REDIS_PATIENCE_MS);
  const [problem] = await findRedisProblems(connection);
  if (problem) throw new FarmError('redis_unsuitable', problem);
  const mark = farmMark(storeSettings(config));
  await confirmFarm(connection, mark, log);
  const cancellation = new CancelWatch(subscriber);
  await cancellation.listen();
  const renders = new RenderStore(connection);
  const artifacts = openArtifacts(storeSettings(config));
  const fail = (reason: string) => {
    log.fatal({ reason }, 'worker cannot go on');
    writeOut(log);
    endNow();
  };
  confirmAfterReconnects(connection, mark, log, (error) => fail(error.message));
  const host = new OwnHost(config, tags, connection, log);
  return { connection, live, subscriber, renders, artifacts, cancellation, configReload, log, host, fail };
}

function redisPlace({ redis }: Config): RedisPlace {
  if (redis.url) return redis;
  throw new FarmError('config_invalid', 'No Redis is named: set REDIS_URL or redis.url, or start with `farm up`');
}
