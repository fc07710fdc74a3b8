import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis, type RedisOptions } from 'ioredis';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import type { RedisTls } from '../../shared/redis/address.ts';
import { makeCertificates } from './certificates.ts';
import { until } from './until.ts';

/** Redis as operators run it: real servers on loopback with replicas and Sentinels, as a cluster, with TLS. */

const NAME = 'farm';
const DOWN_AFTER_MS = 2000;
/** What the farm needs of Sentinels: docs/ops/redis.md has the same. */
const SENTINEL_RIGHTS = '-@all +sentinel|get-master-addr-by-name +sentinel|ckquorum';

/** Why tests of this program are skipped; false where it is there. */
export function missing(program: string): string | false {
  return spawnSync(program, ['--version']).error ? `${program} cannot be had here` : false;
}

/** Why tests of Redis over TLS are skipped; false where they can run. */
export function missingTls(): string | false {
  // It names the first setting that it does not take, and starts with neither.
  const { stderr } = spawnSync('redis-server', ['--tls-port', '0', '--port', 'none'], { encoding: 'utf8' });
  return stderr?.includes('tls-port') ? 'a redis-server with TLS cannot be had here' : missing('openssl');
}

export interface ServerSettings {
  /** Further lines of redis.conf. */
  readonly lines?: readonly string[];
  /** `redis-server`, or another program that takes the same. */
  readonly program?: string;
}

/** One process. */
export class RedisServer {
  readonly port: number;
  readonly child: ChildProcess;
  /** A plain connection, for the test's own looks. */
  readonly client: Redis;
  /** Starts it again, on its port and files. @param lines more of redis.conf. */
  readonly again: (lines?: readonly string[]) => Promise<RedisServer>;

  private constructor(port: number, child: ChildProcess, client: Redis, again: RedisServer['again']) {
    this.port = port;
    this.child = child;
    this.client = client;
    this.again = again;
  }

  get isOver(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Starts it in a folder of its own and resolves when it answers. @param options how the test's own client connects. */
  static async start(
    folder: string,
    { lines = [], program = 'redis-server' }: ServerSettings,
    { port, args = [], options = {} }: { port: number; args?: readonly string[]; options?: RedisOptions },
  ): Promise<RedisServer> {
    const own = path.join(folder, String(port));
    await mkdir(own, { recursive: true });
    const file = path.join(own, 'server.conf');
    const usual = [`dir ${own}`, 'bind 127.0.0.1', 'save ""', 'logfile server.log'];
    const ports = options.tls ? ['port 0', `tls-port ${port}`] : [`port ${port}`];
    await writeFile(file, [...usual, ...ports, ...lines, ''].join('\n'));
    const child = spawn(program, [file, ...args], { stdio: 'ignore' });
    const client = new Redis({ ...options, host: '127.0.0.1', port, retryStrategy: () => 50, enableReadyCheck: false });
    client.on('error', () => {});
    const again = async (more: readonly string[] = []) =>
      await RedisServer.start(folder, { lines: [...lines, ...more], program }, { port, args, options });
    const server = new RedisServer(port, child, client, again);
    try {
      await until(`the server on port ${port} answers`, async () => {
        if (server.isOver) throw new Error(`${program} ended: ${await readFile(path.join(own, 'server.log'), 'utf8')}`);
        return (await client.ping().catch(() => '')) === 'PONG';
      });
      return server;
    } catch (error) {
      await server.kill();
      throw error;
    }
  }

  /** Ends it at once, and waits for its end. */
  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    this.client.disconnect();
    if (this.isOver) return;
    const ended = once(this.child, 'exit');
    this.child.kill(signal);
    await ended;
  }
}

abstract class Servers implements AsyncDisposable {
  readonly folder: string;
  readonly servers: RedisServer[] = [];

  protected constructor(folder: string) {
    this.folder = folder;
  }

  /** Starts a server again that was killed. */
  protected async revived(server: RedisServer, lines: readonly string[] = []): Promise<RedisServer> {
    const again = await server.again(lines);
    this.servers[this.servers.indexOf(server)] = again;
    return again;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server.kill()));
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** What `redis.tls` of the farm is, and what the servers and the test's own clients need for the same. */
interface Tls {
  readonly ofFarm: RedisTls;
  readonly lines: readonly string[];
  readonly options: RedisOptions;
}

async function tlsIn(folder: string): Promise<Tls> {
  const { ca, serverCertificate, serverKey, clientCertificate, clientKey } = await makeCertificates(folder);
  return {
    ofFarm: { ca_path: ca.file, cert_path: clientCertificate.file, key_path: clientKey.file, servername: 'redis.test' },
    lines: [
      `tls-cert-file ${serverCertificate.file}`,
      `tls-key-file ${serverKey.file}`,
      `tls-ca-cert-file ${ca.file}`,
      ...['tls-replication yes', 'tls-auth-clients yes'],
    ],
    options: {
      tls: { ca: ca.pem, cert: clientCertificate.pem, key: clientKey.pem, servername: 'redis.test' },
    },
  };
}

export interface SentinelSettings extends ServerSettings {
  readonly replicas: number;
  readonly sentinels: number;
  readonly tls?: boolean;
  /** Of the servers' default user, and of the Sentinels. */
  readonly passwords?: { readonly server: string; readonly sentinel: string };
}

/** A primary, replicas of it and Sentinels, which call it "farm". */
export class SentinelServers extends Servers {
  readonly sentinels: RedisServer[] = [];
  #tls: Tls | undefined;
  #passwords: SentinelSettings['passwords'];

  static async start(settings: SentinelSettings): Promise<SentinelServers> {
    const all = new SentinelServers(await mkdtemp(path.join(tmpdir(), 'farm-sentinel-')));
    try {
      await all.#start(settings);
    } catch (error) {
      await all[Symbol.asyncDispose]();
      throw error;
    }
    return all;
  }

  /** As in the section `redis` of the configuration. */
  get ofFarm() {
    const { server = '', sentinel = '' } = this.#passwords ?? {};
    const hosts = this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
    const secret = server ? `:${encodeURIComponent(server)}@` : '';
    return {
      url: `${this.#tls ? 'rediss' : 'redis'}+sentinel://${secret}${hosts}/${NAME}`,
      ...(this.#tls ? { tls: this.#tls.ofFarm } : {}),
      ...(sentinel ? { sentinel: { username: NAME, password: sentinel } } : {}),
    };
  }

  /** The server that is the primary now. */
  async primary(): Promise<RedisServer> {
    for (const server of this.servers) {
      const isAlive = !server.isOver && !this.sentinels.includes(server);
      if (isAlive && /role:master/.test(await server.client.info('replication'))) return server;
    }
    throw new Error('No server is the primary');
  }

  /** Kills the primary; resolves to what has the killed one come back, as a replica, once there is another primary. */
  async killPrimary(): Promise<() => Promise<void>> {
    const killed = await this.primary();
    await killed.kill();
    return async () => {
      await until('there is another primary', async () => await this.primary().then(Boolean, () => false));
      const { port } = await this.primary();
      const replica = await this.revived(killed, [`replicaof 127.0.0.1 ${port}`]);
      await until('the killed server follows', async () =>
        (await replica.client.info('replication')).includes('master_link_status:up'),
      );
    };
  }

  /** Has Sentinels make a replica the primary, in good order. */
  async failOver(): Promise<void> {
    await until('a Sentinel takes the order', async () => {
      const order = this.sentinels[0]?.client.call('SENTINEL', 'FAILOVER', NAME);
      return await Promise.resolve(order).then(
        () => true,
        ({ message }: Error) => message.startsWith('INPROG'),
      );
    });
  }

  async #start({ replicas, sentinels, tls, passwords, lines = [], program }: SentinelSettings): Promise<void> {
    this.#passwords = passwords;
    this.#tls = tls ? await tlsIn(this.folder) : undefined;
    const of = program === undefined ? {} : { program };
    const first = await freePort();
    const secret = passwords ? [`requirepass ${passwords.server}`, `masterauth ${passwords.server}`] : [];
    const options = { ...this.#tls?.options, ...(passwords ? { password: passwords.server } : {}) };
    const common = [...(this.#tls?.lines ?? []), ...lines, ...secret, 'repl-diskless-sync-delay 0', 'appendonly yes'];
    for (let place = 0; place <= replicas; place++) {
      const port = place === 0 ? first : await freePort();
      const follows = place === 0 ? [] : [`replicaof 127.0.0.1 ${first}`];
      this.servers.push(
        await RedisServer.start(this.folder, { ...of, lines: [...common, ...follows] }, { port, options }),
      );
    }
    const [primary] = this.servers;
    await until('all replicas are up to date', async () => {
      const text = (await primary?.client.info('replication')) ?? '';
      return text.match(/state=online/g)?.length === replicas || replicas === 0;
    });
    const quorum = Math.floor(sentinels / 2) + 1;
    for (let place = 0; place < sentinels; place++) await this.#startSentinel(of, first, quorum);
    await until('the Sentinels know each other and the replicas', async () => {
      const seen = await Promise.all(
        this.sentinels.map(async ({ client }) => await client.call('SENTINEL', 'MASTERS')),
      );
      return seen.every((answer) => {
        const [facts = []] = answer as string[][];
        const of = (name: string) => Number(facts[facts.indexOf(name) + 1]);
        return of('num-other-sentinels') === sentinels - 1 && of('num-slaves') === replicas;
      });
    });
  }

  async #startSentinel(of: ServerSettings, first: number, quorum: number): Promise<void> {
    const { server, sentinel } = this.#passwords ?? {};
    const lines = [
      ...(this.#tls?.lines ?? []),
      `sentinel monitor ${NAME} 127.0.0.1 ${first} ${quorum}`,
      `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${NAME} 10000`,
      ...(server ? [`sentinel auth-pass ${NAME} ${server}`] : []),
      ...(sentinel ? [`requirepass ${sentinel}`, `sentinel sentinel-pass ${sentinel}`] : []),
      ...(sentinel ? [`user ${NAME} on >${sentinel} ${SENTINEL_RIGHTS}`] : []),
    ];
    const options = { ...this.#tls?.options, ...(sentinel ? { password: sentinel } : {}) };
    const port = await freePort();
    const started = await RedisServer.start(this.folder, { ...of, lines }, { port, options, args: ['--sentinel'] });
    this.sentinels.push(started);
    this.servers.push(started);
  }
}

const SLOTS = 16_384;
const NODE_TIMEOUT_MS = 2000;

/** A Redis Cluster of three primaries and three replicas, or as many as is said. */
export class ClusterServers extends Servers {
  static async start({
    primaries = 3,
    replicas = 3,
    ...settings
  }: ServerSettings & { primaries?: number; replicas?: number }) {
    const all = new ClusterServers(await mkdtemp(path.join(tmpdir(), 'farm-cluster-')));
    try {
      await all.#start(primaries, replicas, settings);
    } catch (error) {
      await all[Symbol.asyncDispose]();
      throw error;
    }
    return all;
  }

  get url(): string {
    return `redis+cluster://${this.servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  }

  /** As in the section `redis` of the configuration. */
  get ofFarm() {
    return { url: this.url };
  }

  /** The node that has a slot now, as the others see it. */
  async primaryOf(slot: number): Promise<RedisServer> {
    for (const { client } of this.servers.filter((server) => !server.isOver)) {
      const ranges = (await client.call('CLUSTER', 'SLOTS')) as [number, number, [string, number]][];
      const port = ranges.find(([first, last]) => first <= slot && slot <= last)?.[2][1];
      const found = this.servers.find((server) => server.port === port && !server.isOver);
      if (found) return found;
    }
    throw new Error(`No node has slot ${slot}`);
  }

  /** As that of Sentinels. */
  async killPrimaryOf(slot: number): Promise<() => Promise<void>> {
    const killed = await this.primaryOf(slot);
    await killed.kill();
    return async () => {
      await until('the slot has another node', async () => await this.primaryOf(slot).then(Boolean, () => false));
      const replica = await this.revived(killed);
      await until('the killed node follows', async () =>
        (await replica.client.info('replication')).includes('master_link_status:up'),
      );
    };
  }

  async #start(primaries: number, replicas: number, { lines = [], ...settings }: ServerSettings): Promise<void> {
    for (let place = 0; place < primaries + replicas; place++) {
      const [port, bus] = [await freePort(), await freePort()];
      const own = ['cluster-enabled yes', `cluster-node-timeout ${NODE_TIMEOUT_MS}`, `cluster-port ${bus}`];
      const more = [...own, 'appendonly yes', 'repl-diskless-sync-delay 0', ...lines];
      this.servers.push(await RedisServer.start(this.folder, { ...settings, lines: more }, { port }));
    }
    const [first, ...others] = this.servers;
    for (const [place, { client }] of this.servers.slice(0, primaries).entries()) {
      const [from, to] = [place, place + 1].map((end) => Math.floor((SLOTS * end) / primaries));
      await client.call('CLUSTER', 'ADDSLOTSRANGE', String(from), String((to ?? 0) - 1));
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', String(place + 1));
    }
    const busOf = async ({ client }: RedisServer) =>
      String(((await client.call('CONFIG', 'GET', 'cluster-port')) as string[])[1]);
    for (const other of others) {
      await first?.client.call('CLUSTER', 'MEET', '127.0.0.1', String(other.port), await busOf(other));
    }
    const knows = async ({ client }: RedisServer, text: RegExp) =>
      text.test(String(await client.call('CLUSTER', 'INFO')));
    await until('all nodes know each other', async () => {
      const all = await Promise.all(
        this.servers.map(async ({ client }) => String(await client.call('CLUSTER', 'NODES'))),
      );
      return all.every((text) => text.trim().split('\n').length === this.servers.length && !text.includes('handshake'));
    });
    for (const [place, { client }] of this.servers.slice(primaries).entries()) {
      const followed = this.servers[place % primaries];
      await client.call('CLUSTER', 'REPLICATE', String(await followed?.client.call('CLUSTER', 'MYID')));
    }
    await until('the cluster is well, and its replicas are up to date', async () => {
      const well = await Promise.all(this.servers.map((server) => knows(server, /cluster_state:ok/)));
      const links = await Promise.all(
        this.servers.slice(primaries).map(async ({ client }) => await client.info('replication')),
      );
      return well.every(Boolean) && links.every((text) => text.includes('master_link_status:up'));
    });
  }
}
