import type { FastifyInstance } from 'fastify';
import type { Redis } from 'ioredis';
import { storeSettings } from '../shared/artifacts/open.ts';
import { type Config, loadConfig } from '../shared/config/load.ts';
import { keysWithoutEffect } from '../shared/config/no-effect.ts';
import { keptToThisMachine, refuseOpenAddress } from '../shared/config/open-address.ts';
import { ConfigReload } from '../shared/config/reload.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { farmMark } from '../shared/farm/farm-mark.ts';
import { confirmAfterReconnects, confirmFarm } from '../shared/farm/identity.ts';
import { startReporting } from '../shared/metrics/report.ts';
import { findListenFault } from '../shared/process/listen-fault.ts';
import { createLogger, type Logger } from '../shared/process/log.ts';
import { CLOSING_MS, onShutdown } from '../shared/process/shutdown.ts';
import { endUnstarted, onProcessStates, reportReady, showLife } from '../shared/process/supervised.ts';
import { producerConnection, waitUntilReady } from '../shared/redis/connections.ts';
import { startTracing, stopTracing } from '../shared/tracing/tracing.ts';
import { buildApp } from './app.ts';
import { type GrpcServer, startGrpc } from './grpc/server.ts';
import { Connections } from './http/connections.ts';
import { type MetricsServer, startMetricsServer } from './http/farm/metrics-server.ts';
import type { LiveService } from './live/live.ts';
import { openServices } from './services.ts';

const REDIS_PATIENCE_MS = 30_000;

/** Entry of the front end: `node api/main.ts`. Stateless: any number may run beside each other. */
async function start(): Promise<void> {
  const config = loadConfig();
  if (!config.redis.url) {
    throw new FarmError('config_invalid', 'No Redis is named: set REDIS_URL or redis.url, or start with `farm up`');
  }
  refuseOpenAddress(config);
  const log = createLogger('api', config.logging);
  adviseOn(config, log);
  const configReload = new ConfigReload(config, log);
  await startTracing(config, 'api');
  const redis = await connect(config, log);
  const services = openServices({ config, redis, log, reload: configReload });
  onProcessStates((processes) => {
    services.gpus.processes = processes;
  });
  services.gpus.history.start(log);
  services.withoutWorker.start(log);
  const app = await buildApp(services, log);
  process.on('SIGHUP', () => services.reopenLogs());
  const connections = new Connections(app.server);
  const drainMs = config.limits.drain_seconds * 1000;
  const reporting = startReporting({ redis, name: 'api', log });
  let grpc: GrpcServer | undefined;
  let metrics: MetricsServer | undefined;
  onShutdown(async (reason) => {
    log.info({ reason }, 'draining');
    configReload.stop();
    await endCalls(app, connections, grpc, drainMs);
    metrics?.close();
    await Promise.all([reporting.stop(), stopTracing()]);
    await services.close();
    redis.disconnect();
    log.flush();
  }, drainMs + CLOSING_MS);
  const frames = await listenForFrames(services.live, config);
  metrics = await startMetricsServer(services);
  grpc = await startGrpc(services, log);
  // Last: /readyz says that all of it is there.
  const { host, port } = config.http;
  await app.listen({ host, port }).catch(async (error: Error) => {
    throw (await findListenFault('http.port', host, port)) ?? error;
  });
  const others = { frames: frames ?? 'over Redis', ...(metrics ? { metrics: metrics.address } : {}) };
  log.info({ http: app.listeningOrigin, grpc: grpcOf(grpc), ...others }, 'ready');
  reportReady();
}

/** Says what of the configuration does something else than may be expected. */
function adviseOn(config: Config, log: Logger): void {
  const kept = keptToThisMachine(config);
  if (kept) log.warn(kept);
  for (const { key, why } of keysWithoutEffect(config))
    log.warn({ key, why }, 'key of the configuration has no effect');
}

/** Takes no more requests and calls, and lets those that run finish within `drainMs`. */
async function endCalls(
  app: FastifyInstance,
  connections: Connections,
  grpc: GrpcServer | undefined,
  drainMs: number,
): Promise<void> {
  // A client that leaves a download half read must not hold the process up.
  const cut = setTimeout(() => app.server.closeAllConnections(), drainMs);
  const closed = app.close();
  connections.closeUnused();
  await Promise.all([closed, grpc?.drain(drainMs)]);
  clearTimeout(cut);
}

/** The address of `server.port`; with the other ports, where there are some, by their keys. */
function grpcOf({ address, addresses }: GrpcServer): string | object {
  return addresses.size > 1 ? Object.fromEntries(addresses) : address;
}

/** Waits for workers at the address that is configured. FarmError('port_taken') when another process has it. */
async function listenForFrames(live: LiveService, { live: { frame_listen } }: Config): Promise<string | undefined> {
  try {
    return await live.listen();
  } catch (error) {
    const { host = '127.0.0.1', port } = frame_listen ?? { port: 0 };
    throw (await findListenFault('live.frame_listen', host, port)) ?? error;
  }
}

/** A connection to the Redis of this farm, and of no other, also when it comes back. */
async function connect(config: Config, log: Logger): Promise<Redis> {
  const redis = producerConnection(config.redis);
  const mark = farmMark(storeSettings(config));
  await waitUntilReady(redis, REDIS_PATIENCE_MS);
  await confirmFarm(redis, mark, log);
  confirmAfterReconnects(redis, mark, log, (error) => {
    log.fatal({ code: error.code, reason: error.message }, 'front end cannot go on');
    log.flush();
    process.exit(1);
  });
  return redis;
}

showLife();
start().catch(endUnstarted);
