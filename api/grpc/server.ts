import { readFileSync } from 'node:fs';
import type { ServerHttp2Session } from 'node:http2';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Server, ServerCredentials, type ServerInterceptor, type ServerOptions } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import type { Config } from '../../shared/config/load.ts';
import { grpcHost } from '../../shared/config/open-address.ts';
import { FarmError } from '../../shared/errors.ts';
import { findListenFault } from '../../shared/process/listen-fault.ts';
import type { Logger } from '../../shared/process/log.ts';
import { ignored, logged } from '../../shared/process/unheard.ts';
import { MB } from '../../shared/units.ts';
import type { Services } from '../services.ts';
import { requireAccess } from './auth.ts';
import { boundMemory, PATIENCE_MS } from './call-memory.ts';
import { Calls } from './calls.ts';
import { FarmHealth } from './health.ts';
import { listenersOf } from './inside-grpc.ts';
import { streamFrames } from './live-stream-service.ts';
import { monolithicHandlers } from './monolithic-service.ts';
import { FARM_SERVICE, MONOLITHIC_SERVICE, reflectedProtos, serviceOf } from './protos.ts';
import { renderHandlers } from './render-service.ts';
import { takeVisualInputs } from './visual-field.ts';

/** What a connection may have under way to here. With the 64 KB of HTTP/2, a large message waits at every turn. */
const WINDOW_BYTES = MB;
const KEEPALIVE_TIMEOUT_MS = 20_000;
const TOO_MANY = 'refused connections to the gRPC server: there are too many';
/** Time for the last answers to reach their connections. */
const CLOSING_MS = 250;

export interface GrpcServer {
  /** "host:port" that it listens on. */
  readonly address: string;
  /** Takes no new calls, lets running ones finish within `patienceMs`, tells the rest to stop, and closes. */
  drain(patienceMs: number): Promise<void>;
}

/**
 * Starts the gRPC server. FarmError: port_taken; config_invalid for another address that cannot be used, or a TLS file
 * that cannot be read.
 * @param patienceMs how long a message may be under way, and an answer wait to be taken, beside the time for its bytes.
 */
export async function startGrpc(services: Services, log: Logger, patienceMs = PATIENCE_MS): Promise<GrpcServer> {
  const { config } = services;
  const server = new Server({ ...optionsOf(config), interceptors: interceptorsOf(services, patienceMs) });
  const calls = new Calls(log);
  const health = new FarmHealth(services.readiness);
  server.addService(serviceOf(MONOLITHIC_SERVICE), monolithicHandlers(services, calls));
  server.addService(serviceOf(FARM_SERVICE), {
    Stream: calls.bidiStream(streamFrames(services)),
    ...renderHandlers(services, calls),
  });
  if (config.grpc.reflection) new ReflectionService(reflectedProtos()).addToServer(server);
  await health.start(server);
  const address = await bind(server, config).catch((error: unknown) => {
    health.drain();
    throw error;
  });
  boundConnections(server, config);
  openWindows(server);
  return {
    address,
    async drain(patienceMs) {
      health.drain();
      // Ends when the last connection has closed, which one that watches the health never does.
      const closing = promisify(server.tryShutdown.bind(server))();
      const closed = closing.catch(ignored('the forced end below does the same'));
      await calls.finish(patienceMs);
      await Promise.race([closed, delay(CLOSING_MS)]);
      server.forceShutdown();
    },
  };
}

function interceptorsOf({ access, memory, config }: Services, patienceMs: number): ServerInterceptor[] {
  const maxMessageBytes = config.server.max_message_size_mb * MB;
  return [
    boundMemory({ budget: memory, maxMessageBytes, patienceMs }),
    takeVisualInputs(maxMessageBytes),
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

async function bind(server: Server, config: Config): Promise<string> {
  const { port } = config.server.port;
  const host = grpcHost(config);
  const credentials = credentialsOf(config);
  const bound = Promise.withResolvers<number>();
  server.bindAsync(`${host}:${port}`, credentials, (error, boundPort) => {
    if (error) bound.reject(error);
    else bound.resolve(boundPort);
  });
  const boundPort = await bound.promise.catch(async (error: Error) => {
    const fault = await findListenFault('server.port', host.replace(/^\[|\]$/g, ''), port);
    throw fault ?? new FarmError('config_invalid', `server.port: cannot listen on ${host}:${port}: ${error.message}`);
  });
  return `${host}:${boundPort}`;
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
