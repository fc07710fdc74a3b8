import { FarmError } from '../../shared/errors/farm-error.ts';
import {
  compareEventIds,
  EVENT_OF_STATUS,
  nextEventId,
  type RenderEvent,
  type RenderEventName,
  type StoredEvent,
  toRenderEvent,
} from '../../shared/renders/events.ts';
import { unknownRender } from '../../shared/renders/reader.ts';
import { isTerminal, type RenderRecord, type RenderStatus } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import { type Caller, maySee } from '../access/caller.ts';
import type { EventHub } from './event-hub.ts';
import { EventInbox } from './event-inbox.ts';
import type { EventLog, LoggedEvent } from './event-log.ts';

/** What a client that follows events gets. `idle`: nothing has come for a while. `missed`: some are gone for good. */
export type StreamItem = { readonly id: string; readonly event: RenderEvent } | 'missed' | 'idle';

export interface EventFilter {
  readonly modelId?: string | undefined;
  readonly status?: RenderStatus | undefined;
  readonly types?: readonly RenderEventName[] | undefined;
}

export interface Following extends EventFilter {
  readonly caller: Caller;
  /** Id of the last event that the client has: those behind it come first. */
  readonly after?: string | undefined;
}

/** Where a client stands: the last event that it has, and what comes for it. */
interface Place {
  readonly inbox: EventInbox;
  readonly position: string;
  readonly signal: AbortSignal;
}

/** Under the time after which proxies close a silent connection. */
const IDLE_AFTER_MS = 15_000;
const FIRST = '0-0';

/** Events of renders, as they come and again, for clients that follow them. Without a transport. */
export class EventStreams {
  readonly #tools: { readonly store: RenderStore; readonly log: EventLog; readonly hub: EventHub };
  readonly #mostOpen: number;
  readonly #idleAfterMs: number;
  readonly #closing = new AbortController();
  #open = 0;

  /**
   * @param mostOpen that may follow events at the same time.
   * @param idleAfterMs without an event until a client is told that there is none.
   */
  constructor(
    tools: { store: RenderStore; log: EventLog; hub: EventHub },
    mostOpen: number,
    idleAfterMs = IDLE_AFTER_MS,
  ) {
    this.#tools = tools;
    this.#mostOpen = mostOpen;
    this.#idleAfterMs = idleAfterMs;
  }

  /** Aborted when this front end ends: all streams end then. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Clients that follow events now. */
  get openCount(): number {
    return this.#open;
  }

  close(): void {
    this.#closing.abort();
  }

  /** A place for one client; call what is returned when it has gone. FarmError: event_streams_full, farm_draining. */
  enter(): () => void {
    if (this.closing.aborted) throw new FarmError('farm_draining', 'This front end ends');
    if (this.#open >= this.#mostOpen) {
      throw new FarmError('event_streams_full', `${this.#open} clients follow events; there may be ${this.#mostOpen}`);
    }
    this.#open++;
    let isIn = true;
    return () => {
      if (isIn) this.#open--;
      isIn = false;
    };
  }

  /**
   * Whether a render has ended and a client that has the events up to `after` has seen that: then nothing will come.
   * FarmError('render_unknown').
   */
  async isOver(renderId: string, { caller, after }: Following): Promise<boolean> {
    const record = await this.#tools.store.get(renderId);
    if (!maySee(caller, record.owner)) throw unknownRender(renderId);
    if (after === undefined || !isTerminal(record.status)) return false;
    return compareEventIds(await this.#idOfEnd(record), after) <= 0;
  }

  /**
   * Events of all renders that the caller may see, from the time at which this resolves. They end when `signal` is
   * aborted, which must happen in any case, or when he takes too few.
   */
  async ofAll(following: Following, signal: AbortSignal): Promise<AsyncGenerator<StreamItem>> {
    const inbox = new EventInbox((event) => isWanted(event, following));
    const position = await this.#listen(inbox, signal);
    return this.#all(following, { inbox, position, signal });
  }

  /** Events of one render: those that were, and those that come until it has ended. `signal` as above. */
  async ofRender(
    renderId: string,
    { after = FIRST, caller }: Following,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<StreamItem>> {
    const inbox = new EventInbox(({ stored }) => stored.renderId === renderId && maySee(caller, stored.owner));
    await this.#listen(inbox, signal);
    return this.#one(renderId, { inbox, position: after, signal });
  }

  async #listen(inbox: EventInbox, signal: AbortSignal): Promise<string> {
    const { position, end } = await this.#tools.hub.listen(inbox);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    return position;
  }

  async *#all(following: Following, { inbox, position, signal }: Place): AsyncGenerator<StreamItem> {
    const { log } = this.#tools;
    let last = following.after ?? position;
    if (following.after !== undefined) {
      const oldest = await log.oldest();
      if (oldest === undefined || compareEventIds(oldest, last) > 0) yield 'missed';
      for await (const event of log.since(last)) {
        last = event.id;
        if (isWanted(event, following)) yield toItem(event);
      }
    }
    for (;;) {
      const next = await inbox.next(this.#idleAfterMs, signal);
      if (next === 'over') return;
      if (typeof next === 'string') yield next;
      else if (compareEventIds(next.id, last) > 0) yield toItem(next);
    }
  }

  async *#one(renderId: string, { inbox, position, signal }: Place): AsyncGenerator<StreamItem> {
    let last = position;
    for (let next: Awaited<ReturnType<EventInbox['next']>> = 'idle'; ; ) {
      if (typeof next === 'string') {
        // The record is the truth: an event may be gone, or a worker of an earlier version wrote none. Looked at before
        // the events, so that those which led to the end are among them.
        const record = await this.#tools.store.find(renderId);
        for await (const event of this.#tools.log.since(last, renderId)) {
          last = event.id;
          yield toItem(event);
        }
        if (!record) return;
        if (isTerminal(record.status)) return yield* await this.#unseenEnd(record, last);
      }
      next = await inbox.next(this.#idleAfterMs, signal);
      if (next === 'over') return;
      if (typeof next === 'string') yield next;
      else if (compareEventIds(next.id, last) > 0) {
        last = next.id;
        yield toItem(next);
        if (isTerminal(next.stored.status)) return;
      }
    }
  }

  /** The end of a render for a client with the events up to `last`, unless it is among them. */
  async #unseenEnd(record: RenderRecord, last: string): Promise<StreamItem[]> {
    const id = await this.#idOfEnd(record);
    if (compareEventIds(id, last) <= 0) return [];
    return [toItem({ id, type: EVENT_OF_STATUS[record.status], stored: await this.#storedOf(record) })];
  }

  /** Of a render that has ended: that of the event which told of it, else one behind all of its events. */
  async #idOfEnd({ renderId, status, finishedAtMs = 0 }: RenderRecord): Promise<string> {
    const { log } = this.#tools;
    const told = await log.latestOf(renderId);
    if (told && (told.type === undefined || told.type === EVENT_OF_STATUS[status])) return told.id;
    const ended = `${finishedAtMs}-0`;
    const last = await log.lastOf(renderId);
    return last === undefined || compareEventIds(ended, last) > 0 ? ended : nextEventId(last);
  }

  async #storedOf({ renderId, status, request, owner, plan, error }: RenderRecord): Promise<StoredEvent> {
    const { framesDone } = await this.#tools.store.segments.progress(renderId);
    const { modelId, output, labels = {} } = request;
    return { renderId, status, modelId, output, labels, owner, framesDone, framesTotal: plan?.frameCount, error };
  }
}

function isWanted({ type, stored }: LoggedEvent, { caller, modelId, status, types }: Following): boolean {
  return (
    maySee(caller, stored.owner) &&
    (modelId === undefined || stored.modelId === modelId) &&
    (status === undefined || stored.status === status) &&
    (types === undefined || types.includes(type))
  );
}

function toItem({ id, type, stored }: LoggedEvent): StreamItem {
  return { id, event: toRenderEvent(type, id, stored) };
}
