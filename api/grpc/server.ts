import { setTimeout as delay } from 'node:timers/promises';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { type GrpcAddress, grpcAddresses } from '../../shared/config/open-address.ts';
import type { Logger } from '../../shared/process/log.ts';
import type { Services } from '../services.ts';
import { PATIENCE_MS } from './call-memory.ts';
import { Calls } from './calls.ts';
import { compositingHandlers } from './compositing-service.ts';
import { servicesElsewhere } from './elsewhere.ts';
import { FarmHealth } from './health.ts';
import { inferenceHandlers } from './inference-service.ts';
import { streamFrames } from './live-stream-service.ts';
import { monolithicHandlers } from './monolithic-service.ts';
import { PortServer } from './port-server.ts';
import {
  COMPOSITING_SERVICE,
  FARM_SERVICE,
  INFERENCE_SERVICE,
  MONOLITHIC_SERVICE,
  type ServiceName,
} from './protos.ts';
import { renderHandlers } from './render-service.ts';

/** Time for the last answers to reach their connections. */
const CLOSING_MS = 250;

export interface GrpcServer {
  /** "host:port" of `server.port`. */
  readonly address: string;
  /** The same for every key that names a port of gRPC and is not off, as in "server.port". */
  readonly addresses: ReadonlyMap<GrpcAddress['key'], string>;
  /** Takes no new calls, lets running ones finish within `patienceMs`, tells the rest to stop, and closes. */
  drain(patienceMs: number): Promise<void>;
}

type Handlers = Partial<Record<ServiceName, UntypedServiceImplementation>>;

/**
 * Starts the gRPC servers, one for each port. FarmError: port_taken; config_invalid for another address that cannot be
 * used, or a TLS file that cannot be read.
 * @param patienceMs how long a message may be under way, and an answer wait to be taken, beside the time for its bytes.
 */
export async function startGrpc(services: Services, log: Logger, patienceMs = PATIENCE_MS): Promise<GrpcServer> {
  const calls = new Calls(log);
  const health = new FarmHealth(services.readiness);
  const handlers = handlersByPort(services, calls);
  const servers: PortServer[] = [];
  const addresses = new Map<GrpcAddress['key'], string>();
  try {
    for (const address of grpcAddresses(services.config)) {
      const elsewhere = servicesElsewhere(services.config, address.key);
      const server = new PortServer(services, { handlers: handlers[address.key], elsewhere, health, patienceMs });
      servers.push(server);
      addresses.set(address.key, await server.listen(address));
    }
    await health.start();
  } catch (error) {
    health.drain();
    for (const server of servers) server.end();
    throw error;
  }
  return {
    address: addresses.get('server.port') ?? '',
    addresses,
    async drain(patienceMs) {
      health.drain();
      const closed = Promise.all(servers.map((server) => server.close()));
      await calls.finish(patienceMs);
      await Promise.race([closed, delay(CLOSING_MS)]);
      for (const server of servers) server.end();
    },
  };
}

function handlersByPort(services: Services, calls: Calls): Readonly<Record<GrpcAddress['key'], Handlers>> {
  return {
    'server.port': {
      [MONOLITHIC_SERVICE]: monolithicHandlers(services, calls),
      [FARM_SERVICE]: { Stream: calls.bidiStream(streamFrames(services)), ...renderHandlers(services, calls) },
    },
    'server.compositing_port': { [COMPOSITING_SERVICE]: compositingHandlers(services, calls) },
    'server.inference_port': { [INFERENCE_SERVICE]: inferenceHandlers(services, calls) },
  };
}
