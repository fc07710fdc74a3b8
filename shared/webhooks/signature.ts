import { createHmac } from 'node:crypto';

/** Signatures as Standard Webhooks has them: HMAC-SHA256 over id, time and body. */

const PREFIX = 'whsec_';
/** `whsec_` and 24 to 64 bytes in base64. */
export const WEBHOOK_SECRET = /^whsec_(?:[A-Za-z0-9+/]{4}){8,22}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(PREFIX.length), 'base64');
}

/**
 * The secret of one API key, made of one of the farm's: its holder can check what is sent to him, and nobody else's.
 */
export function secretOfKey(secret: string, keyName: string): string {
  return `${PREFIX}${createHmac('sha256', keyOf(secret)).update(`webhooks of ${keyName}`).digest('base64')}`;
}

/** @param secrets each gives a signature, so that a receiver who knows one of them is content. @param timeS in s. */
export function signatureHeaders(
  { id, timeS, body }: { id: string; timeS: number; body: string },
  secrets: readonly string[],
): Record<string, string> {
  const content = `${id}.${timeS}.${body}`;
  const signatures = secrets.map(
    (secret) => `v1,${createHmac('sha256', keyOf(secret)).update(content).digest('base64')}`,
  );
  return { 'webhook-id': id, 'webhook-timestamp': String(timeS), 'webhook-signature': signatures.join(' ') };
}
