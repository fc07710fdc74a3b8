import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Config } from '../../../shared/config/load.ts';
import { metricsHost } from '../../../shared/config/open-address.ts';
import { FarmError } from '../../../shared/errors/farm-error.ts';
import { findListenFault } from '../../../shared/process/listen-fault.ts';
import { unexpected } from '../../../shared/process/unheard.ts';
import { isMetricsToken } from '../../access/metrics-token.ts';
import { METRICS_TYPE } from '../../metrics/exposition.ts';
import type { Services } from '../../services.ts';
import { presentedKey } from '../auth.ts';
import { SECURITY_HEADERS } from '../security-headers.ts';

const MOST_CONNECTIONS = 50;

export interface MetricsServer {
  /** "host:port" that it listens on. */
  readonly address: string;
  close(): void;
}

/**
 * Serves /metrics, and nothing else, at `metrics.listen`, for a network that only Prometheus is in. With `metrics.token`
 * it asks for that. Undefined where none is configured. FarmError('port_taken').
 */
export async function startMetricsServer(
  services: Pick<Services, 'config' | 'metrics'>,
): Promise<MetricsServer | undefined> {
  const { listen } = services.config.metrics;
  if (!listen) return undefined;
  const server = createServer((request, response) => {
    answer(request, response, services).catch(unexpected);
  });
  server.maxConnections = MOST_CONNECTIONS;
  const host = metricsHost(services.config);
  try {
    await once(server.listen(listen.port, host.replace(/^\[|\]$/g, '')), 'listening');
  } catch (error) {
    throw (await findListenFault('metrics.listen', host, listen.port)) ?? error;
  }
  return {
    address: `${host}:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { config, metrics }: Pick<Services, 'config' | 'metrics'>,
): Promise<void> {
  try {
    refuse(request, config);
    const page = await metrics.page();
    response.writeHead(200, { ...SECURITY_HEADERS, 'content-type': METRICS_TYPE }).end(page);
  } catch (thrown) {
    const error = FarmError.from(thrown);
    const challenge = error.httpStatus === 401 ? { 'www-authenticate': 'Bearer realm="Lipsync Farm metrics"' } : {};
    const headers = { ...SECURITY_HEADERS, ...challenge, 'content-type': 'application/json; charset=utf-8' };
    response.writeHead(error.httpStatus, headers).end(JSON.stringify({ error: error.toReport() }));
  }
}

function refuse({ method = '', url = '', headers }: IncomingMessage, config: Config): void {
  if (url.split('?')[0] !== '/metrics') throw new FarmError('not_found', 'Here is /metrics and nothing else');
  if (method !== 'GET' && method !== 'HEAD') throw new FarmError('method_not_allowed', 'Use GET');
  if (config.metrics.token === '' || isMetricsToken(config, presentedKey(headers.authorization))) return;
  throw new FarmError('unauthorised', 'The request does not carry metrics.token');
}
