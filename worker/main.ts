import { type Config, loadConfig } from '../shared/config/load.ts';
import { startReporting } from '../shared/metrics/report.ts';
import { createLogger } from '../shared/process/log.ts';
import { CLOSING_MS, onShutdown } from '../shared/process/shutdown.ts';
import { endUnstarted, reportReady, showLife } from '../shared/process/supervised.ts';
import { RedisOutage } from '../shared/redis/outage.ts';
import { startTracing, stopTracing } from '../shared/tracing/tracing.ts';
import { GpuNumbers } from '../shared/workers/gpu-numbers.ts';
import { type NumberedRole, type Role, readArguments } from './arguments.ts';
import { showHealth } from './health-server.ts';
import { reportJobs } from './jobs/running-jobs.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { makeTools } from './make-tools.ts';

/**
 * Entry of a worker process: `node worker/main.ts --gpu N` or `node worker/main.ts --media`. With `--gpu auto` it claims
 * a number for the device that it finds. Each takes `--tags a100,big`, tags of this host beside those of the
 * configuration, and `--health ADDRESS`, where it shows how it is.
 */

/** A drain waits so long for a Redis that does not answer. */
const WITHOUT_REDIS_MS = 3000;

async function start(): Promise<void> {
  const { role, tags, health: healthAddress } = readArguments();
  const config = loadConfig();
  const health = await showHealth(healthAddress);
  const found = await makeTools(config, createLogger(nameOf(role), config.logging), tags);
  const numbered = role === 'media' ? role : { gpuId: await numberOf(role.gpuId, config, found) };
  const name = nameOf(numbered);
  const log = createLogger(name, config.logging);
  const tools = { ...found, log };
  await startTracing(config, name);
  const reporting = startReporting({ redis: tools.connection, name, log, jobs: reportJobs });
  const outage = new RedisOutage(tools.connection, log);
  const drain = await startRole(numbered, config, tools);
  if (numbered !== 'media') await keepNumber(numbered.gpuId, role, tools);
  const drainAndTell = async () => {
    health.stage = 'draining';
    await drain();
    await Promise.all([tools.host.stop(), reporting.stop(), stopTracing()]);
    health.close();
  };
  onShutdown((reason) => end(reason, tools, outage, drainAndTell), config.limits.drain_seconds * 1000 + CLOSING_MS);
  health.stage = 'ready';
  log.info('ready');
  reportReady();
}

const nameOf = (role: Role) => (role === 'media' ? 'media' : `gpu-${role.gpuId}`);

async function numberOf(asked: number | 'auto', config: Config, tools: WorkerTools): Promise<number> {
  return asked === 'auto' ? await (await import('./gpu-number.ts')).claimGpuNumber(config, tools) : asked;
}

/** Says whose the number is, now that this process has its lease. */
async function keepNumber(gpuId: number, asked: Role, { connection, host }: WorkerTools): Promise<void> {
  const numbers = new GpuNumbers(connection);
  if (asked !== 'media' && asked.gpuId === 'auto') await numbers.claimed(gpuId);
  else await numbers.giveByHand(gpuId, host.name);
}

/** Loads the modules of its role alone. Returns how to drain it. */
async function startRole(role: NumberedRole, config: Config, tools: WorkerTools): Promise<() => Promise<void>> {
  if (role !== 'media') return (await import('./gpu-worker.ts')).startGpuWorker(role.gpuId, config, tools);
  return (await import('./media-worker.ts')).startMediaWorker(config, tools);
}

/** @param outage tells that nothing can be handed back: then what runs is done again once Redis is back. */
async function end(reason: string, tools: WorkerTools, outage: RedisOutage, drain: () => Promise<void>): Promise<void> {
  const { connection, live, subscriber, configReload, log } = tools;
  log.info({ reason }, 'draining');
  configReload.stop();
  const drained = new AbortController();
  const alone = outage.awayFor(WITHOUT_REDIS_MS, drained.signal).then(() => {
    if (!drained.signal.aborted)
      log.warn('Redis does not answer, so nothing can be handed back: what runs is done again when it is back');
  });
  await Promise.race([drain(), alone]);
  drained.abort();
  for (const each of new Set([connection, live, subscriber])) each.disconnect();
  log.info('drained');
  log.flush();
}

showLife();
start().catch(endUnstarted);
