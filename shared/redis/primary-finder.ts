import type { Socket } from 'node:net';
import { Redis } from 'ioredis';
import { ignored } from '../process/unheard.ts';
import { type Endpoint, type GuidedAddress, type RedisAddress, readGuidedAddress, tlsOptions } from './address.ts';

/** The slot of a Redis Cluster that everything under `{farm}` is in. */
export const FARM_SLOT = 288;

/** How long a guide may take to say where the primary is. */
const ANSWER_WITHIN_MS = 1000;
/** How often a guide is asked whether the primary is still the same, while there are connections to it. */
const ASK_EVERY_MS = 1000;

/** What a guide says. */
interface Directions {
  readonly primary: Endpoint | undefined;
  /** Others that may be asked. */
  readonly guides: readonly Endpoint[];
}

/**
 * Finds the server that takes the farm's commands: asks Sentinels for their primary, or nodes of a cluster for the one
 * that has the farm's slot. One for each address and process: while there are connections it asks again every second,
 * and cuts those that lead to a server which is not the primary any more, also where that server says nothing at all.
 */
export class PrimaryFinder {
  readonly address: GuidedAddress;
  readonly #place: RedisAddress;
  /** Who is asked, the next one first. */
  #guides: Endpoint[];
  #asked: { readonly endpoint: Endpoint; readonly client: Redis } | undefined;
  #finding: Promise<Endpoint> | undefined;
  readonly #followed = new Map<Socket, Endpoint>();
  #timer: NodeJS.Timeout | undefined;

  /** @throws Error, in words, for an address without guides. */
  constructor(place: RedisAddress) {
    const address = readGuidedAddress(place.url);
    if (!address) throw new Error('The address names one server');
    this.address = address;
    this.#place = place;
    this.#guides = [...address.guides];
  }

  /** In words, without secrets. */
  get name(): string {
    const hosts = this.address.guides.map(({ host, port }) => `${host}:${port}`).join(', ');
    return this.address.kind === 'sentinel'
      ? `the primary "${this.address.primaryName}" of the Sentinels ${hosts}`
      : `the cluster of ${hosts}`;
  }

  /** Asks one guide after another, once each. @throws Error, in words, when none of them knows a primary. */
  find(): Promise<Endpoint> {
    this.#finding ??= this.#findOnce().finally(() => {
      this.#finding = undefined;
    });
    return this.#finding;
  }

  /** The last answer led to no primary: another guide is asked next. */
  doubt(): void {
    if (!this.#finding) this.#goOn();
  }

  /** What keeps Sentinels from electing a primary, in words; undefined when enough of them answer each other. */
  async quorumFault(): Promise<string | undefined> {
    try {
      await this.find();
      await this.#asked?.client.call('SENTINEL', 'CKQUORUM', this.address.primaryName);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    } finally {
      this.#dropClient();
    }
  }

  /** Cuts this connection once it does not lead to the primary any more. */
  follow(stream: Socket, endpoint: Endpoint): void {
    this.#followed.set(stream, endpoint);
    stream.once('close', () => {
      this.#followed.delete(stream);
      if (this.#followed.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#dropClient();
    });
    this.#timer ??= setInterval(() => this.#look(), ASK_EVERY_MS).unref();
  }

  /** When nobody answers, connections stay: they may be well. */
  #look(): void {
    this.find().then((primary) => {
      for (const [stream, endpoint] of this.#followed) if (!isSame(endpoint, primary)) stream.destroy();
      if (this.#followed.size === 0) this.#dropClient();
    }, ignored('a connection that breaks meanwhile says so itself'));
  }

  async #findOnce(): Promise<Endpoint> {
    const faults: string[] = [];
    for (let left = this.#guides.length; left > 0; left--) {
      const [guide] = this.#guides;
      if (!guide) break;
      try {
        const { primary, guides } = await this.#ask(guide);
        this.#guides.push(...guides.filter((one) => !this.#guides.some((known) => isSame(known, one))));
        if (primary) return primary;
        faults.push(`${guide.host}:${guide.port} knows none`);
      } catch (error) {
        faults.push(`${guide.host}:${guide.port}: ${(error as Error).message}`);
      }
      this.#goOn();
    }
    throw new Error(`${this.name} is not found (${faults.join('; ')})`);
  }

  async #ask(endpoint: Endpoint): Promise<Directions> {
    if (!this.#asked || !isSame(this.#asked.endpoint, endpoint)) {
      this.#dropClient();
      this.#asked = { endpoint, client: this.#connect(endpoint) };
    }
    const { client } = this.#asked;
    return this.address.kind === 'sentinel'
      ? await askSentinel(client, this.address.primaryName)
      : await askNode(client, endpoint);
  }

  #connect({ host, port }: Endpoint): Redis {
    const { kind } = this.address;
    const { username, password } = kind === 'sentinel' ? this.#ofSentinel : this.address;
    const client = new Redis({
      ...{ host, port, username, password, tls: tlsOptions(this.#place) },
      ...{ connectTimeout: ANSWER_WITHIN_MS, commandTimeout: ANSWER_WITHIN_MS },
      ...{ retryStrategy: () => null, enableReadyCheck: false, maxRetriesPerRequest: 0 },
      disableClientInfo: true,
    });
    return client.on('error', ignored('the question fails with it'));
  }

  get #ofSentinel(): { username: string | undefined; password: string | undefined } {
    const { username, password } = this.#place.sentinel ?? {};
    return { username: username || undefined, password: password || undefined };
  }

  #goOn(): void {
    this.#dropClient();
    this.#guides.push(...this.#guides.splice(0, 1));
  }

  #dropClient(): void {
    this.#asked?.client.disconnect();
    this.#asked = undefined;
  }
}

async function askSentinel(client: Redis, name: string): Promise<Directions> {
  const answer = (await client.call('SENTINEL', 'get-master-addr-by-name', name)) as [string, string] | null;
  return { primary: answer ? { host: answer[0], port: Number(answer[1]) } : undefined, guides: [] };
}

/** First and last slot, then the nodes that have them, the primary first: host, port, id. */
type SlotRange = [number, number, ...[string | null, number, ...unknown[]][]];

async function askNode(client: Redis, asked: Endpoint): Promise<Directions> {
  const ranges = (await client.call('CLUSTER', 'SLOTS')) as SlotRange[];
  const [, , ...nodes] = ranges.find(([first, last]) => first <= FARM_SLOT && FARM_SLOT <= last) ?? [0, 0];
  // A node that does not know its own address names none.
  const guides = nodes.map(([host, port]) => ({ host: host && host !== '?' ? host : asked.host, port }));
  return { primary: guides[0], guides };
}

export function isSame(one: Endpoint, other: Endpoint): boolean {
  return one.host === other.host && one.port === other.port;
}
