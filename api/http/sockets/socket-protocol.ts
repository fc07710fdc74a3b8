import type { IncomingMessage } from 'node:http';

/**
 * The names that a client gives when it opens a WebSocket (`Sec-WebSocket-Protocol`). A browser lets a page set no other
 * header there, so a key comes as one of them: not in the address, which ends up in logs and histories.
 */

/** What is spoken here, and the only name that is ever answered. */
export const SOCKET_PROTOCOL = 'lipsync.v1';
/** Before a key in base64url, since not every sign of a key may stand in a header. */
const KEY_PREFIX = 'lipsync.key.';

/** The key among the names; '' for none. */
export function keyInProtocols(protocols = ''): string {
  const name = protocols
    .split(',')
    .map((part) => part.trim())
    .find((part) => part.startsWith(KEY_PREFIX));
  return name === undefined ? '' : Buffer.from(name.slice(KEY_PREFIX.length), 'base64url').toString();
}

const SOCKET_ADDRESS = /^\/v1\/(live|renders\/[a-z0-9-]+\/preview)(\?|$)/;

/** Whether a request is for a WebSocket that there is; what asks for any other upgrade is answered without one. */
export function opensSocket({ headers, url = '' }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket' && SOCKET_ADDRESS.test(url);
}
