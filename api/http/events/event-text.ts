import { EVENTS_MISSED } from '../../../shared/renders/events.ts';
import type { StreamItem } from '../../events/event-streams.ts';

/** How soon a browser that has lost the connection comes again. */
const RETRY_MS = 2000;

/** The beginning of a stream of events: it also has the head of the answer sent at once. */
export const EVENT_STREAM_BEGIN = `retry: ${RETRY_MS}\n\n`;

/** One item in the form of server-sent events; idle is a comment, which keeps the connection open and is passed over. */
export function eventText(item: StreamItem): string {
  if (item === 'idle') return ': idle\n\n';
  if (item === 'missed') return `event: ${EVENTS_MISSED}\ndata: {"type":"${EVENTS_MISSED}"}\n\n`;
  return `id: ${item.id}\nevent: ${item.event.type}\ndata: ${JSON.stringify(item.event)}\n\n`;
}
