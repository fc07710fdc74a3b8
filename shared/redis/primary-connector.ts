import { createConnection, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { AbstractConnector } from 'ioredis';
import { type RedisAddress, tlsOptions } from './address.ts';
import { PrimaryFinder } from './primary-finder.ts';

const DISCONNECT_WITHIN_MS = 2000;
const ASK_AGAIN_AFTER_MS = 300;

const finders = new Map<string, PrimaryFinder>();
const names = new WeakMap<object, string>();

/** Told of the faults of a connection that is still sought. */
type ErrorEmitter = (type: string, error: Error) => void;

/**
 * The class by which ioredis connects to the primary that Sentinels, or nodes of a cluster, name. Each connection is one
 * of a single server, and is made again to another one when the primary changes.
 * @throws Error, in words, for an address without guides.
 */
export function primaryConnector(place: RedisAddress): new () => AbstractConnector {
  const key = JSON.stringify(place);
  const finder = finders.get(key) ?? new PrimaryFinder(place);
  finders.set(key, finder);
  class OfThisAddress extends PrimaryConnector {
    constructor() {
      super(finder, place);
    }
  }
  names.set(OfThisAddress, finder.name);
  return OfThisAddress;
}

/** Where such connections lead, in words; undefined for another class. */
export function nameOfPrimary(connector: object | undefined): string | undefined {
  return connector && names.get(connector);
}

class PrimaryConnector extends AbstractConnector {
  readonly #finder: PrimaryFinder;
  readonly #place: RedisAddress;
  #attempt = 0;
  #wasReady = true;

  constructor(finder: PrimaryFinder, place: RedisAddress) {
    super(DISCONNECT_WITHIN_MS);
    this.#finder = finder;
    this.#place = place;
  }

  /** ioredis takes a rejection for the end, so this asks until there is an answer or the connection is given up. */
  override async connect(emit: ErrorEmitter): Promise<Socket> {
    this.connecting = true;
    const attempt = ++this.#attempt;
    if (!this.#wasReady) this.#finder.doubt();
    this.#wasReady = false;
    for (;;) {
      const stream = await this.#open().catch((error: Error) => {
        emit('error', error);
      });
      if (!this.connecting || attempt !== this.#attempt) {
        stream?.destroy();
        throw new Error('Connection is closed.');
      }
      if (stream) {
        this.stream = stream;
        return stream;
      }
      await delay(ASK_AGAIN_AFTER_MS);
    }
  }

  /** Called with what the server says of itself. False has ioredis connect again. */
  override check(info: { role?: string } | null): boolean {
    this.#wasReady = !info?.role || info.role === 'master';
    return this.#wasReady;
  }

  async #open(): Promise<Socket> {
    const endpoint = await this.#finder.find();
    const tls = tlsOptions(this.#place);
    const stream = tls ? connectTls({ ...tls, ...endpoint }) : createConnection(endpoint);
    stream.once('error', (error) => {
      this.firstError = error;
    });
    this.#finder.follow(stream, endpoint);
    return stream;
  }
}
