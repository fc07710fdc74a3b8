import { RENDER_ID } from '../../shared/renders/id.ts';
import type { ListPosition } from '../../shared/renders/index-walk.ts';

/**
 * A place in the list of renders as text, such as "1764073531000.r0mwsm6f20-e16991b1ff": the time and the id of a render,
 * which say where to go on also when that render has been removed.
 */
export function toCursor({ createdAtMs, renderId }: ListPosition): string {
  return `${createdAtMs}.${renderId}`;
}

/** Undefined for a text that is no cursor, such as an id alone. */
export function readCursor(text: string): ListPosition | undefined {
  const { time, renderId = '' } = /^(?<time>\d{1,15})\.(?<renderId>.*)$/.exec(text)?.groups ?? {};
  return time !== undefined && RENDER_ID.test(renderId) ? { createdAtMs: Number(time), renderId } : undefined;
}
