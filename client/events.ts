import { FarmError } from '../shared/errors/farm-error.ts';
import { EVENTS_MISSED, type RenderEvent, type RenderEventName, renderEventSchema } from '../shared/renders/events.ts';
import type { RenderStatus } from '../shared/renders/record.ts';
import type { Connection } from './connection.ts';
import { parseJson } from './json.ts';
import { type Patience, patiently } from './patience.ts';
import { wait } from './wait.ts';

/** An event with its id, behind which a later stream goes on; or that some have gone for good: look how the renders stand. */
export type FollowedEvent = ({ readonly id: string } & RenderEvent) | { readonly type: typeof EVENTS_MISSED };

/** Which events of all renders come. */
export interface EventFilter {
  readonly modelId?: string;
  readonly status?: RenderStatus;
  readonly types?: readonly RenderEventName[];
}

export interface FollowOptions {
  /** Goes on behind this event. Without it the stream of a render begins with its first one, that of the farm now. */
  readonly lastEventId?: string;
  /** Ends the stream: the loop then ends with the signal's reason. */
  readonly signal?: AbortSignal;
  /** How long to try again when the farm does not answer; default one minute. */
  readonly patienceMs?: number;
}

/** A server-sent event as it comes: fields without their names. */
export interface SentEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

const TRY_AGAIN_FOR_MS = 60_000;
/** Between the end of a connection and the next one. */
const RECONNECT_AFTER_MS = 250;

/** Ends with a stream that is complete; a broken one is opened again where it was. */
export async function* followEvents(
  connection: Connection,
  route: string,
  { lastEventId, signal, patienceMs: forMs = TRY_AGAIN_FOR_MS }: FollowOptions,
): AsyncGenerator<FollowedEvent> {
  const patience: Patience = { forMs, ...(signal ? { signal } : {}) };
  let last = lastEventId;
  for (;;) {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (last !== undefined) headers['last-event-id'] = last;
    const response = await patiently(() => connection.request(route, { headers, signal: signal ?? null }), patience);
    if (response.status === 204) return;
    try {
      for await (const sent of sentEvents(connection.chunks(response, signal))) {
        if (sent.id) last = sent.id;
        const event = toFollowed(sent);
        if (event) yield event;
      }
    } catch (error) {
      if (!(error instanceof FarmError && error.code === 'farm_unreachable')) throw error;
    }
    await wait(RECONNECT_AFTER_MS, signal);
  }
}

/** Undefined for what a later version of the farm may send. */
function toFollowed({ id, event, data }: SentEvent): FollowedEvent | undefined {
  if (event === EVENTS_MISSED) return { type: EVENTS_MISSED };
  const parsed = renderEventSchema.safeParse(parseJson(data));
  return parsed.success ? { id, ...parsed.data } : undefined;
}

/** Splits a body of `text/event-stream` into its events; comments and events without data are left out. */
export async function* sentEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<SentEvent> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(block.split(/\r?\n/).map((line) => toField(line)));
      const data = fields.get('data');
      if (data !== undefined) yield { id: fields.get('id') ?? '', event: fields.get('event') ?? 'message', data };
    }
  }
}

/** The farm sends one line of each field. */
function toField(line: string): [string, string] {
  const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
  return [name, value];
}
