import { timingSafeEqual } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { type ApiKey, hashApiKey, SHORTEST_HASHED_KEY } from '../../shared/api-keys.ts';
import { FarmError } from '../../shared/errors.ts';
import type { Caller } from './caller.ts';

interface Held {
  readonly key: ApiKey;
  readonly digest: Buffer;
  readonly caller: Caller;
  revoke(): void;
}

/** How a reload changed the keys, by their names. */
export interface KeyChanges {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** What became of a presented key. */
export type Found = { readonly caller: Caller } | { readonly caller: undefined; readonly why: string };

/** Removed keys that are told apart from unknown ones in the log. */
const MOST_REMOVED = 1000;

/** The keys that are in force, as hashes. */
export class KeyRing {
  #held: readonly Held[] = [];
  readonly #removed = new Map<string, string>();
  #hadKeys = false;

  constructor(keys: readonly ApiKey[]) {
    this.replace(keys);
  }

  /**
   * Whether everybody may come in: there have never been keys. A ring that has lost all its keys stays closed, so that
   * a file with a missing line opens nothing.
   */
  get isOpen(): boolean {
    return !this.#hadKeys;
  }

  get isEmpty(): boolean {
    return this.#held.length === 0;
  }

  /** Whose key it is. Takes as long for a wrong key as for a right one. */
  find(presented: string): Found {
    const hash = hashApiKey(presented);
    const digest = Buffer.from(hash, 'hex');
    let found: Held | undefined;
    for (const held of this.#held) if (timingSafeEqual(held.digest, digest)) found = held;
    if (!found) {
      const removed = this.#removed.get(hash);
      return { caller: undefined, why: removed === undefined ? 'unknown key' : `removed key "${removed}"` };
    }
    const { name, plain } = found.key;
    if (plain || presented.length >= SHORTEST_HASHED_KEY) return { caller: found.caller };
    return { caller: undefined, why: `key "${name}" has less than ${SHORTEST_HASHED_KEY} characters` };
  }

  /** Whose key has a hash that fits. */
  findWith(fits: (sha256: string) => boolean): Caller | undefined {
    return this.#held.find(({ key }) => fits(key.sha256))?.caller;
  }

  /** Puts other keys in force. What runs for a key that is gone, or has another role or hash, is told to end. */
  replace(keys: readonly ApiKey[]): KeyChanges {
    const before = new Map(this.#held.map((held) => [held.key.name, held]));
    this.#held = keys.map((key) => hold(key, before.get(key.name)));
    this.#hadKeys ||= keys.length > 0;
    const after = new Map(this.#held.map((held) => [held.key.name, held]));
    for (const [name, held] of before) {
      if (after.get(name)?.caller.revoked === held.caller.revoked) continue;
      this.#removed.set(held.key.sha256, name);
      held.revoke();
    }
    for (const { key } of this.#held) this.#removed.delete(key.sha256);
    for (const hash of [...this.#removed.keys()].slice(0, -MOST_REMOVED)) this.#removed.delete(hash);
    return {
      added: [...after.keys()].filter((name) => !before.has(name)),
      changed: [...after.keys()].filter((name) => before.has(name) && before.get(name) !== after.get(name)),
      removed: [...before.keys()].filter((name) => !after.has(name)),
    };
  }
}

/** A key in force. What runs for it goes on when nothing but its limits has changed. */
function hold(key: ApiKey, before: Held | undefined): Held {
  const { name: keyName, role, limits, sha256 } = key;
  if (before && isDeepStrictEqual(before.key, key)) return before;
  if (before && before.key.sha256 === sha256 && before.key.role === role) {
    return { ...before, key, caller: { ...before.caller, limits } };
  }
  const life = new AbortController();
  // As many calls listen as run for the key.
  setMaxListeners(0, life.signal);
  return {
    key,
    digest: Buffer.from(sha256, 'hex'),
    caller: { keyName, role, limits, revoked: life.signal },
    revoke: () => life.abort(new FarmError('unauthorised', `The API key "${keyName}" is no longer valid`)),
  };
}
