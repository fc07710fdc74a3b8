import { parseArgs } from 'node:util';
import { type Config, loadConfig } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors.ts';
import { startReporting } from '../shared/metrics/report.ts';
import { createLogger } from '../shared/process/log.ts';
import { CLOSING_MS, onShutdown } from '../shared/process/shutdown.ts';
import { endUnstarted, reportReady, showLife } from '../shared/process/supervised.ts';
import { RedisOutage } from '../shared/redis-outage.ts';
import { startTracing, stopTracing } from '../shared/tracing/tracing.ts';
import { showHealth } from './health-server.ts';
import { reportJobs } from './jobs/running-jobs.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { makeTools } from './make-tools.ts';

/**
 * Entry of a worker process: `node worker/main.ts --gpu N` or `node worker/main.ts --media`; with `--health ADDRESS` it
 * shows there how it is.
 */

/** A drain waits so long for a Redis that does not answer. */
const WITHOUT_REDIS_MS = 3000;

function readOptions() {
  const options = { gpu: { type: 'string' }, media: { type: 'boolean' }, health: { type: 'string' } } as const;
  return parseArgs({ options }).values;
}

function readRole(values: ReturnType<typeof readOptions>): { gpuId: number } | 'media' {
  const gpuId = Number(values.gpu);
  if (values.media && values.gpu === undefined) return 'media';
  if (!values.media && values.gpu !== undefined && Number.isInteger(gpuId) && gpuId >= 0) return { gpuId };
  throw new FarmError('config_invalid', 'Start a worker with --gpu N (N = 0, 1, …) or with --media');
}

async function start(): Promise<void> {
  const options = readOptions();
  const role = readRole(options);
  const config = loadConfig();
  const health = await showHealth(options.health);
  const name = role === 'media' ? 'media' : `gpu-${role.gpuId}`;
  const log = createLogger(name, config.logging);
  await startTracing(config, name);
  const tools = await makeTools(config, log);
  const reporting = startReporting({ redis: tools.connection, name, log, jobs: reportJobs });
  const outage = new RedisOutage(tools.connection, log);
  const drain = await startRole(role, config, tools);
  const drainAndTell = async () => {
    health.stage = 'draining';
    await drain();
    await Promise.all([reporting.stop(), stopTracing()]);
    health.close();
  };
  onShutdown((reason) => end(reason, tools, outage, drainAndTell), config.limits.drain_seconds * 1000 + CLOSING_MS);
  health.stage = 'ready';
  log.info('ready');
  reportReady();
}

/** Loads the modules of its role alone. Returns how to drain it. */
async function startRole(
  role: ReturnType<typeof readRole>,
  config: Config,
  tools: WorkerTools,
): Promise<() => Promise<void>> {
  if (role !== 'media') return (await import('./gpu-worker.ts')).startGpuWorker(role.gpuId, config, tools);
  return (await import('./media-worker.ts')).startMediaWorker(config, tools);
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

showLife();
start().catch(endUnstarted);
