import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import type { LiveJob } from '../../jobs/jobs.ts';
import type { RepeatLog } from '../../process/repeat.ts';
import { ignored, logged } from '../../process/unheard.ts';
import { connectOptions, tcpAddress, unixAddress } from './address.ts';
import type { DirectInbox } from './inbox.ts';
import { Peer } from './peer.ts';

/** Where a front end waits for its workers. */
export interface ListenSettings {
  /** A host and port; undefined: a socket in the folder that the processes of this machine share. */
  readonly listen: { readonly host: string | undefined; readonly port: number } | undefined;
  /** The address by which workers reach it, `host:port`; empty: the one that it listens on. */
  readonly advertise: string;
  readonly storageRoot: string;
  readonly maxConnections: number;
}

/** Linux takes no longer path for a socket. */
const LONGEST_SOCKET_PATH = 100;
const SOCKET_FOLDER = 'channels';
const OWN_FOLDER = 'farm-channel-';
const WILDCARD = /^(?:0\.0\.0\.0|::|)$/;

/** Where the workers of all requests of a front end connect to. */
export class FrameListener {
  /** For jobs: `unix:/path` or `tcp:host:port`. */
  readonly address: string;
  readonly #server: Server;
  readonly #inboxes = new Map<string, DirectInbox>();
  readonly #peers = new Set<Peer>();
  /** The connection of each worker that may be offered jobs. */
  readonly #workers = new Map<string, Peer>();

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
    const onRefused = logged('a connection to the frame channel was closed; it may be no worker of this farm');
    server.on('connection', (socket) => {
      let name: string | undefined;
      const onWorker = (workerId: string) => {
        name = workerId;
        this.#workers.set(workerId, peer);
      };
      const peer = new Peer(socket, { find: (requestId) => this.#inboxes.get(requestId), onRefused, onWorker });
      this.#peers.add(peer);
      socket.on('close', () => {
        this.#peers.delete(peer);
        if (name !== undefined && this.#workers.get(name) === peer) this.#workers.delete(name);
      });
    });
    // The worker that was turned away comes again, and finds a place.
    server.on('drop', () => [...this.#peers].find(({ isIdle }) => isIdle)?.close());
  }

  /** Throws what the system says when the address cannot be had. */
  static async start(settings: ListenSettings, log: RepeatLog): Promise<FrameListener> {
    const server = createServer();
    server.maxConnections = settings.maxConnections;
    const { listen, advertise, storageRoot } = settings;
    if (!listen) return new FrameListener(server, await listenOnSocket(server, storageRoot, log));
    await listening(server, { host: listen.host ?? '127.0.0.1', port: listen.port });
    const { port } = server.address() as AddressInfo;
    if (advertise) return new FrameListener(server, `tcp:${advertise}`);
    const host = WILDCARD.test(listen.host ?? '127.0.0.1') ? hostname() : (listen.host ?? '127.0.0.1');
    return new FrameListener(server, tcpAddress(host, port));
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#peers.size;
  }

  /** Takes frames for a request until `remove`. */
  add(inbox: DirectInbox): void {
    this.#inboxes.set(inbox.requestId, inbox);
  }

  /** Offers a job, with its payload, to a worker that is connected; false when it cannot be offered any. */
  offer(workerId: string, inbox: DirectInbox, job: LiveJob, gpuId: number): boolean {
    return this.#workers.get(workerId)?.offer(inbox, job, gpuId) ?? false;
  }

  remove(inbox: DirectInbox): void {
    this.#inboxes.delete(inbox.requestId);
    inbox.close();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const peer of this.#peers) peer.close();
    await closed;
    await removeOwnFolder(this.address);
  }
}

/** A socket that only its owner may use; on a disk that has none, a port of loopback. */
async function listenOnSocket(server: Server, storageRoot: string, log: RepeatLog): Promise<string> {
  const name = `${hostname()}-${process.pid}-${Date.now().toString(36)}.sock`;
  try {
    const place = path.join(await socketFolder(path.join(storageRoot, SOCKET_FOLDER), name.length), name);
    await listening(server, { path: place });
    return unixAddress(place);
  } catch (error) {
    log.info({ reason: (error as Error).message }, 'no socket for the frame channel here; it has a port of loopback');
    await listening(server, { host: '127.0.0.1', port: 0 });
    return tcpAddress('127.0.0.1', (server.address() as AddressInfo).port);
  }
}

/** Removes the folder that was made for this socket alone, where the usual one had too long a path. */
async function removeOwnFolder(address: string): Promise<void> {
  const place = connectOptions(address);
  const folder = 'path' in place ? path.dirname(place.path) : '';
  if (path.basename(folder).startsWith(OWN_FOLDER))
    await rmdir(folder).catch(ignored('it is empty, and in nobody’s way'));
}

/** The folder for the socket, without those of dead processes; another one where the path would be too long. */
async function socketFolder(usual: string, nameLength: number): Promise<string> {
  if (usual.length + nameLength >= LONGEST_SOCKET_PATH) return await mkdtemp(path.join(tmpdir(), OWN_FOLDER));
  await mkdir(usual, { recursive: true, mode: 0o700 });
  await removeDead(usual);
  return usual;
}

async function listening(server: Server, where: { path: string } | { host: string; port: number }): Promise<void> {
  const ready = once(server, 'listening');
  server.listen(where);
  await ready;
}

/** Removes sockets of this machine whose processes have died. Those of others cannot be tried from here. */
async function removeDead(folder: string): Promise<void> {
  const own = (await readdir(folder)).filter((name) => name.startsWith(`${hostname()}-`) && name.endsWith('.sock'));
  await Promise.all(own.map((name) => removeIfDead(path.join(folder, name))));
}

async function removeIfDead(place: string): Promise<void> {
  const socket = connect({ path: place });
  try {
    await once(socket, 'connect');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') return;
    await rm(place, { force: true }).catch(ignored('it is in nobody’s way'));
  } finally {
    socket.destroy();
  }
}
