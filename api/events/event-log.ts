import type { Redis } from 'ioredis';
import {
  RENDER_EVENTS,
  type RenderEventName,
  type StoredEvent,
  storedEventSchema,
} from '../../shared/renders/events.ts';
import { EVENTS_KEY, eventsKey, recordKey } from '../../shared/renders/keys.ts';

/** An event as it lies in a stream. */
export interface LoggedEvent {
  readonly id: string;
  readonly type: RenderEventName;
  readonly stored: StoredEvent;
}

/** Entries of a stream, as ioredis gives them: id, then field, value, … */
export type Entries = readonly (readonly [string, readonly string[]])[];

const PIECE = 500;
const KNOWN: ReadonlySet<string> = new Set(RENDER_EVENTS);

/** Those of the entries that this version knows. */
export function readEntries(entries: Entries): LoggedEvent[] {
  return entries.flatMap(([id, fields]) => {
    const [, type = '', , text = '{}'] = fields;
    const stored = KNOWN.has(type) ? storedEventSchema.safeParse(JSON.parse(text)).data : undefined;
    return stored ? [{ id, type: type as RenderEventName, stored }] : [];
  });
}

/** The streams of events, for reading again. */
export class EventLog {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Behind `after`, in order. @param renderId undefined: those of all renders. */
  async *since(after: string, renderId?: string): AsyncGenerator<LoggedEvent> {
    const key = renderId === undefined ? EVENTS_KEY : eventsKey(renderId);
    for (let last = after; ; ) {
      const entries = await this.#redis.xrange(key, `(${last}`, '+', 'COUNT', PIECE);
      yield* readEntries(entries);
      last = entries.at(-1)?.[0] ?? last;
      if (entries.length < PIECE) return;
    }
  }

  /** Id of the latest event of the farm; `0-0` when there is none. */
  async latest(): Promise<string> {
    const [last] = await this.#redis.xrevrange(EVENTS_KEY, '+', '-', 'COUNT', 1);
    return last?.[0] ?? '0-0';
  }

  /** Id of the oldest event of the farm that is kept. */
  async oldest(): Promise<string | undefined> {
    const [first] = await this.#redis.xrange(EVENTS_KEY, '-', '+', 'COUNT', 1);
    return first?.[0];
  }

  /**
   * The event that told of the latest change of a render beside its progress; its type is undefined when its stream is
   * gone. Undefined when an earlier version wrote everything.
   */
  async latestOf(renderId: string): Promise<{ id: string; type: string | undefined } | undefined> {
    const text = await this.#redis.hget(recordKey(renderId), 'lastEventId');
    if (text === null) return undefined;
    const id = String(JSON.parse(text));
    const [entry] = await this.#redis.xrange(eventsKey(renderId), id, id);
    return { id, type: entry?.[1][1] };
  }

  /** Id of the last event of a render, progress included; undefined when its stream is gone. */
  async lastOf(renderId: string): Promise<string | undefined> {
    const [last] = await this.#redis.xrevrange(eventsKey(renderId), '+', '-', 'COUNT', 1);
    return last?.[0];
  }
}
