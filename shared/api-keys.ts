import { createHash, randomBytes } from 'node:crypto';

/** API keys: what they may do, how they are made, and the form in which they are kept. */

/** What a key may do; each may do what the ones before it may. docs/http-api.md has the table. */
export const ROLES = ['render', 'operate', 'admin'] as const;
export type Role = (typeof ROLES)[number];

/** Names of keys: they are shown, logged, and part of keys in Redis. */
export const KEY_NAME = /^[A-Za-z0-9._-]{1,64}$/;
/** Shortest key of `auth.api_keys`, as it always was. */
export const SHORTEST_PLAIN_KEY = 8;
/** Shortest key that a hash stands for: the hash of anything shorter could be turned back into the key by trying. */
export const SHORTEST_HASHED_KEY = 16;
/** A key of so many characters is taken for one that nobody can guess; those of `farm key new` have 47. */
export const UNGUESSABLE_LENGTH = 32;

const NEW_KEY_BYTES = 32;

/** A new key with 256 random bits, such as "lsf_" and 43 letters, digits, "-" and "_". */
export function newApiKey(): string {
  return `lsf_${randomBytes(NEW_KEY_BYTES).toString('base64url')}`;
}

/** SHA-256 in lower-case hex, the form of a key in the configuration: docs/decisions/0055 says why no slower hash. */
export function hashApiKey(key: string): string {
  return createHash('sha256').update(key).digest('hex');
}

/** A key as the farm knows it. */
export interface ApiKey {
  readonly name: string;
  /** In lower-case hex. */
  readonly sha256: string;
  /** Whether the configuration has the key itself and not its hash alone; and then, whether it could be guessed. */
  readonly plain: boolean;
  readonly isWeak: boolean;
  readonly role: Role;
  readonly limits: KeyLimits;
}

/** What one key may take; 0: as much as the farm has. */
export interface KeyLimits {
  /** At each front end. */
  readonly requestsPerMinute: number;
  /** On the whole farm. */
  readonly unfinishedRenders: number;
  /** On the whole farm. */
  readonly unfinishedFrames: number;
  /** On the whole farm. */
  readonly streams: number;
  /** On the whole farm. */
  readonly storedBytes: number;
}

export const NO_LIMITS: KeyLimits = {
  requestsPerMinute: 0,
  unfinishedRenders: 0,
  unfinishedFrames: 0,
  streams: 0,
  storedBytes: 0,
};

/** What the owner of a render may take; no limits when it has none, or its key is gone. */
export function limitsOfOwner(keys: readonly ApiKey[], owner: string | undefined): KeyLimits {
  return keys.find(({ name }) => name === owner)?.limits ?? NO_LIMITS;
}
