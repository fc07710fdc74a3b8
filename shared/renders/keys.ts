import { KEY_PREFIX } from '../redis.ts';

/** Names of the keys under which a render is kept: docs/architecture.md says what each holds. */

export const INDEX_KEY = `${KEY_PREFIX}:renders`;
export const ACTIVE_KEY = `${KEY_PREFIX}:renders:active`;
export const recordKey = (renderId: string) => `${KEY_PREFIX}:render:${renderId}`;
export const progressKey = (renderId: string) => `${recordKey(renderId)}:progress`;
export const receiptsKey = (renderId: string) => `${recordKey(renderId)}:segments`;
export const previewKey = (renderId: string) => `${recordKey(renderId)}:preview`;
export const idempotencyKey = (key: string) => `${KEY_PREFIX}:idempotency:${key}`;
