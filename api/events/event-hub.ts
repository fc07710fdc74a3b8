import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { ignored, logged } from '../../shared/process/unheard.ts';
import { compareEventIds } from '../../shared/renders/events.ts';
import { EVENTS_KEY } from '../../shared/renders/keys.ts';
import { type Entries, type EventLog, type LoggedEvent, readEntries } from './event-log.ts';

/** Shorter than a front end waits for any answer of Redis. */
const BLOCK_MS = 1000;
const AGAIN_AFTER_MS = 500;
const AT_ONCE = 500;

const sayBroken = logged('reading events failed, and is tried again where it was');

/** Whoever follows the events of the farm. */
export interface EventListener {
  /** Every event, in order. */
  take(event: LoggedEvent): void;
  /** Some have gone before they were read. */
  missed(): void;
}

/**
 * Reads the events of the farm once for all clients of this front end, by one connection that waits for them. It reads
 * only while somebody listens.
 */
export class EventHub {
  readonly #open: () => Redis;
  readonly #log: EventLog;
  readonly #listeners = new Set<EventListener>();
  #starting: Promise<void> | undefined;
  #reader: Redis | undefined;
  #position = '0-0';

  /** @param open a connection for blocking reads. */
  constructor(log: EventLog, open: () => Redis) {
    this.#log = log;
    this.#open = open;
  }

  /** From now on `listener` gets every event. Returns the id after which they come, and how to end that. */
  async listen(listener: EventListener): Promise<{ position: string; end: () => void }> {
    this.#listeners.add(listener);
    const end = () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.close();
    };
    this.#starting ??= this.#start();
    try {
      await this.#starting;
    } catch (error) {
      this.#starting = undefined;
      this.#listeners.delete(listener);
      throw error;
    }
    return { position: this.#position, end };
  }

  close(): void {
    this.#reader?.disconnect();
    this.#reader = undefined;
    this.#starting = undefined;
  }

  async #start(): Promise<void> {
    this.#position = await this.#log.latest();
    const reader = this.#open();
    this.#reader = reader;
    this.#read(reader).catch(logged('reading events has ended; the next client begins it again'));
  }

  async #read(reader: Redis): Promise<void> {
    while (this.#reader === reader) {
      try {
        const answer = await reader.xread('COUNT', AT_ONCE, 'BLOCK', BLOCK_MS, 'STREAMS', EVENTS_KEY, this.#position);
        if (this.#reader === reader) this.#tell(answer?.[0]?.[1] ?? []);
      } catch (error) {
        if (this.#reader !== reader) return;
        sayBroken(error);
        await delay(AGAIN_AFTER_MS);
        await this.#lookForGap().catch(ignored('Redis is away still, and the next read says so'));
      }
    }
  }

  #tell(entries: Entries): void {
    for (const event of readEntries(entries)) for (const listener of [...this.#listeners]) listener.take(event);
    this.#position = entries.at(-1)?.[0] ?? this.#position;
  }

  /** While Redis could not be read, more may have come than it keeps. */
  async #lookForGap(): Promise<void> {
    const oldest = await this.#log.oldest();
    if (oldest === undefined || compareEventIds(oldest, this.#position) <= 0) return;
    for (const listener of [...this.#listeners]) listener.missed();
  }
}
