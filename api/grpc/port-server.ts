import { readFileSync } from 'node:fs';
import type { ServerHttp2Session } from 'node:http2';
import path from 'node:path';
import { promisify } from 'node:util';
import {
  Server,
  ServerCredentials,
  type ServerInterceptor,
  type ServerOptions,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import type { Config } from '../../shared/config/load.ts';
import type { GrpcAddress } from '../../shared/config/open-address.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { findListenFault } from '../../shared/process/listen-fault.ts';
import { ignored, logged } from '../../shared/process/unheard.ts';
import { MB } from '../../shared/units.ts';
import type { Services } from '../services.ts';
import { requireAccess } from './auth.ts';
import { followCalls } from './call-hooks.ts';
import { boundMemory } from './call-memory.ts';
import type { FarmHealth } from './health.ts';
import { listenersOf } from './inside-grpc.ts';
import { reflectedProtos, type ServiceName, serviceOf } from './protos.ts';
import { takeVisualInputs } from './visual-field.ts';
import { answerMouthsWhole } from './whole-answer.ts';

/** What a connection may have under way to here. With the 64 KB of HTTP/2, a large message waits at every turn. */
const WINDOW_BYTES = MB;
const KEEPALIVE_TIMEOUT_MS = 20_000;
const TOO_MANY = 'refused connections to the gRPC server: there are too many';

export interface PortServerTools {
  /** Of its services, beside health and reflection. */
  readonly handlers: Readonly<Partial<Record<ServiceName, UntypedServiceImplementation>>>;
  /** Of services that it only knows the place of. */
  readonly elsewhere: Readonly<Partial<Record<ServiceName, UntypedServiceImplementation>>>;
  readonly health: FarmHealth;
  /** See boundMemory. */
  readonly patienceMs: number;
}

/** The gRPC server of one port: its services with access, bounds, health and reflection. */
export class PortServer {
  readonly #server: Server;
  readonly #config: Config;

  constructor(services: Services, { handlers, elsewhere, health, patienceMs }: PortServerTools) {
    const { config } = services;
    this.#config = config;
    this.#server = new Server({ ...optionsOf(config), interceptors: interceptorsOf(services, patienceMs) });
    for (const known of [handlers, elsewhere]) {
      for (const [name, methods] of Object.entries(known)) {
        this.#server.addService(serviceOf(name as ServiceName), methods);
      }
    }
    const names = Object.keys(handlers) as ServiceName[];
    if (config.grpc.reflection) new ReflectionService(reflectedProtos(names)).addToServer(this.#server);
    health.addTo(this.#server, names);
  }

  /**
   * Begins to listen. FarmError: port_taken; config_invalid for another address that cannot be used, or a TLS file that
   * cannot be read.
   * @returns "host:port".
   */
  async listen(address: GrpcAddress): Promise<string> {
    const port = await bind(this.#server, address, credentialsOf(this.#config));
    boundConnections(this.#server, this.#config);
    openWindows(this.#server);
    return `${address.host}:${port}`;
  }

  /** Takes no new calls. Resolves when the last connection has closed, which one that watches the health never does. */
  async close(): Promise<void> {
    await promisify(this.#server.tryShutdown.bind(this.#server))().catch(ignored('the forced end does the same'));
  }

  /** Closes all connections at once. */
  end(): void {
    this.#server.forceShutdown();
  }
}

function interceptorsOf(services: Services, patienceMs: number): ServerInterceptor[] {
  const { access, memory, config } = services;
  const maxMessageBytes = config.server.max_message_size_mb * MB;
  return [
    followCalls(services),
    boundMemory({ budget: memory, maxMessageBytes, patienceMs }),
    takeVisualInputs(maxMessageBytes),
    answerMouthsWhole(),
    requireAccess(access),
  ];
}

/** Refuses connections over the limit as they come. */
function boundConnections(server: Server, { limits }: Config): void {
  for (const listener of listenersOf(server)) {
    listener.maxConnections = limits.max_connections;
    listener.on('drop', () => logged(TOO_MANY)(new Error(`limits.max_connections is ${limits.max_connections}`)));
  }
}

/** Lets clients send on while what they sent is being read. */
function openWindows(server: Server): void {
  for (const listener of listenersOf(server)) {
    listener.on('session', (session: ServerHttp2Session) => {
      session.settings({ initialWindowSize: WINDOW_BYTES });
      session.setLocalWindowSize(WINDOW_BYTES);
    });
  }
}

function optionsOf({ server, grpc }: Config): ServerOptions {
  const maxMessageBytes = server.max_message_size_mb * MB;
  return {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.max_concurrent_streams': grpc.max_concurrent_streams,
    'grpc.keepalive_time_ms': grpc.keepalive_seconds * 1000,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  };
}

async function bind(server: Server, { key, host, port }: GrpcAddress, credentials: ServerCredentials): Promise<number> {
  const bound = Promise.withResolvers<number>();
  server.bindAsync(`${host}:${port}`, credentials, (error, boundPort) => {
    if (error) bound.reject(error);
    else bound.resolve(boundPort);
  });
  return await bound.promise.catch(async (error: Error) => {
    const fault = await findListenFault(key, host.replace(/^\[|\]$/g, ''), port);
    throw fault ?? new FarmError('config_invalid', `${key}: cannot listen on ${host}:${port}: ${error.message}`);
  });
}

/** TLS when a certificate is configured; with a CA, clients must show a certificate of that CA. */
function credentialsOf({ grpc: { tls }, sourcePath }: Config): ServerCredentials {
  if (tls.cert_path === '' && tls.key_path === '' && tls.ca_path === '') return ServerCredentials.createInsecure();
  const read = (key: keyof typeof tls) => {
    const file = path.resolve(sourcePath ? path.dirname(sourcePath) : '', tls[key]);
    try {
      return readFileSync(file);
    } catch (error) {
      const got = tls[key] === '' ? 'nothing' : `${file} (${(error as Error).message})`;
      throw new FarmError('config_invalid', `grpc.tls.${key}: got ${got}, expected a PEM file`);
    }
  };
  const authority = tls.ca_path === '' ? null : read('ca_path');
  const pair = { cert_chain: read('cert_path'), private_key: read('key_path') };
  return ServerCredentials.createSsl(authority, [pair], authority !== null);
}
