import { KEY_PREFIX } from '../redis/key-prefix.ts';

/** Names of the keys under which a render is kept: docs/architecture.md says what each holds. */

export const INDEX_KEY = `${KEY_PREFIX}:renders`;
/** Completed renders whose parts are still to be removed, by the time at which they were completed, in s. */
export const SPENT_KEY = `${KEY_PREFIX}:renders:spent`;
export const ACTIVE_KEY = `${KEY_PREFIX}:renders:active`;
/** How much work each unfinished render is. */
export const WORK_KEY = `${KEY_PREFIX}:renders:work`;
/** All of it added up; absent when that is to be done again. */
export const WORK_SUMS_KEY = `${WORK_KEY}:sums`;
/** Bytes that the files of each render take, and the sums of the farm and of its API keys. */
export const STORED_KEY = `${KEY_PREFIX}:renders:stored`;
export const STORED_SUMS_KEY = `${KEY_PREFIX}:renders:stored:sums`;
/** Events of all renders, the latest ones. */
export const EVENTS_KEY = `${KEY_PREFIX}:events`;
/** Events that are to be sent to webhooks, until there is a job for each. */
export const WEBHOOK_OUTBOX_KEY = `${KEY_PREFIX}:webhooks:outbox`;
/** Ids of the renders of one API key, by its name, and of the unfinished ones among them. */
export const ownerIndexKey = (owner: string) => `${INDEX_KEY}:of:${owner}`;
export const ownerActiveKey = (owner: string) => `${ACTIVE_KEY}:of:${owner}`;
export const recordKey = (renderId: string) => `${KEY_PREFIX}:render:${renderId}`;
export const progressKey = (renderId: string) => `${recordKey(renderId)}:progress`;
export const receiptsKey = (renderId: string) => `${recordKey(renderId)}:segments`;
export const previewKey = (renderId: string) => `${recordKey(renderId)}:preview`;
/** Faults of the farm for which jobs of the render wait, by the step. */
export const waitsKey = (renderId: string) => `${recordKey(renderId)}:waits`;
/** Events of one render, under the ids that they have in EVENTS_KEY. */
export const eventsKey = (renderId: string) => `${recordKey(renderId)}:events`;
/** An upload in parts, by its id, which becomes that of the render; and all that have begun, by when they expire. */
export const uploadKey = (id: string) => `${KEY_PREFIX}:upload:${id}`;
export const uploadsKey = `${KEY_PREFIX}:uploads`;
/** Those of one API key. */
export const ownUploadsKey = (owner: string) => `${KEY_PREFIX}:uploads:of:${owner}`;
/** Says for a while that the render was removed or surely not admitted, to a command that comes late or again. */
export const goneKey = (renderId: string) => `${recordKey(renderId)}:gone`;
/** @param name of a render without an owner the key as it was sent, else `ownedName` of it. */
export const idempotencyKey = (name: string) => `${KEY_PREFIX}:idempotency:${name}`;
/** Names of owners have no colon, so that two owners never share one. */
export const ownedName = (owner: string, key: string) => `${owner}:${key}`;
