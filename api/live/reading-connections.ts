import type { Redis } from 'ioredis';

const KEEP_IDLE = 16;

/** A pool of connections for blocking reads, one per reader. */
export class ReadingConnections {
  readonly #open: () => Redis;
  readonly #idle: Redis[] = [];
  readonly #lent = new Set<Redis>();

  constructor(open: () => Redis) {
    this.#open = open;
  }

  lend(): Redis {
    const connection = this.#idle.pop() ?? this.#open();
    this.#lent.add(connection);
    return connection;
  }

  /** Returns a connection to the pool; nothing may be reading on it any more. */
  giveBack(connection: Redis): void {
    this.#lent.delete(connection);
    if (this.#idle.length < KEEP_IDLE && connection.status === 'ready') this.#idle.push(connection);
    else connection.disconnect();
  }

  close(): void {
    for (const connection of [...this.#idle, ...this.#lent]) connection.disconnect();
  }
}
