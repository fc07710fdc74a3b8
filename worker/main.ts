import { parseArgs } from 'node:util';
import { LocalArtifacts } from '../shared/artifacts.ts';
import { type Config, loadConfig } from '../shared/config/load.ts';
import { ConfigReload } from '../shared/config/reload.ts';
import { FarmError } from '../shared/errors.ts';
import { confirmAfterReconnects, confirmFarm } from '../shared/farm/identity.ts';
import { createLogger, type Logger, writeOut } from '../shared/process/log.ts';
import { CLOSING_MS, endNow, onShutdown } from '../shared/process/shutdown.ts';
import { endUnstarted, reportReady, showLife } from '../shared/process/supervised.ts';
import { findRedisProblems, waitUntilReady, workerConnection } from '../shared/redis.ts';
import { RedisOutage } from '../shared/redis-outage.ts';
import { RenderStore } from '../shared/renders/store.ts';
import { startGpuWorker } from './gpu-worker.ts';
import { CancelWatch } from './jobs/cancellation.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { startMediaWorker } from './media-worker.ts';

/** Entry of a worker process: `node worker/main.ts --gpu N` or `node worker/main.ts --media`. */

const REDIS_PATIENCE_MS = 30_000;
/** A drain waits so long for a Redis that does not answer. */
const WITHOUT_REDIS_MS = 3000;

function readRole(): { gpuId: number } | 'media' {
  const { values } = parseArgs({ options: { gpu: { type: 'string' }, media: { type: 'boolean' } } });
  const gpuId = Number(values.gpu);
  if (values.media && values.gpu === undefined) return 'media';
  if (!values.media && values.gpu !== undefined && Number.isInteger(gpuId) && gpuId >= 0) return { gpuId };
  throw new FarmError('config_invalid', 'Start a worker with --gpu N (N = 0, 1, …) or with --media');
}

async function start(): Promise<void> {
  const role = readRole();
  const config = loadConfig();
  const log = createLogger(role === 'media' ? 'media' : `gpu-${role.gpuId}`, config.logging);
  const tools = await makeTools(config, log);
  const outage = new RedisOutage(tools.connection, log);
  const drain =
    role === 'media' ? await startMediaWorker(config, tools) : await startGpuWorker(role.gpuId, config, tools);
  onShutdown((reason) => end(reason, tools, outage, drain), config.limits.drain_seconds * 1000 + CLOSING_MS);
  log.info('ready');
  reportReady();
}

/** Waits for Redis, checks that it suits the farm, and makes the tools of both roles. */
async function makeTools(config: Config, log: Logger): Promise<WorkerTools> {
  const configReload = new ConfigReload(config, log);
  const connection = workerConnection(redisUrl(config));
  const subscriber = workerConnection(redisUrl(config));
  await waitUntilReady(connection, REDIS_PATIENCE_MS);
  const [problem] = await findRedisProblems(connection);
  if (problem) throw new FarmError('redis_unsuitable', problem);
  await confirmFarm(connection, config.storageRoot, log);
  const cancellation = new CancelWatch(subscriber);
  await cancellation.listen();
  const renders = new RenderStore(connection);
  const artifacts = new LocalArtifacts(config.storageRoot);
  const fail = (reason: string) => {
    log.fatal({ reason }, 'worker cannot go on');
    writeOut(log);
    endNow();
  };
  confirmAfterReconnects(connection, config.storageRoot, log, (error) => fail(error.message));
  return { connection, subscriber, renders, artifacts, cancellation, configReload, log, fail };
}

/** @param outage tells that nothing can be handed back: then what runs is done again once Redis is back. */
async function end(reason: string, tools: WorkerTools, outage: RedisOutage, drain: () => Promise<void>): Promise<void> {
  const { connection, subscriber, configReload, log } = tools;
  log.info({ reason }, 'draining');
  configReload.stop();
  const drained = new AbortController();
  const alone = outage.awayFor(WITHOUT_REDIS_MS, drained.signal).then(() => {
    if (!drained.signal.aborted)
      log.warn('Redis does not answer, so nothing can be handed back: what runs is done again when it is back');
  });
  await Promise.race([drain(), alone]);
  drained.abort();
  connection.disconnect();
  subscriber.disconnect();
  log.info('drained');
  log.flush();
}

function redisUrl(config: Config): string {
  if (config.redis.url) return config.redis.url;
  throw new FarmError('config_invalid', 'No Redis is named: set REDIS_URL or redis.url, or start with `farm up`');
}

showLife();
start().catch(endUnstarted);
