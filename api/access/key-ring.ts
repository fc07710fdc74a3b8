import { timingSafeEqual } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { type ApiKey, hashApiKey, SHORTEST_HASHED_KEY } from '../../shared/api-keys.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
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

  /** Puts other keys in force. What runs for a key that is gone, or has another role or name, is told to end. */
  replace(keys: readonly ApiKey[]): KeyChanges {
    const before = this.#held;
    this.#held = keys.map((key) =>
      hold(
        key,
        before.find((held) => isSame(held.key, key)),
      ),
    );
    this.#hadKeys ||= keys.length > 0;
    const alive = new Set(this.#held.map(({ caller }) => caller.revoked));
    for (const { key, caller, revoke } of before) {
      if (alive.has(caller.revoked)) continue;
      this.#removed.set(key.sha256, key.name);
      revoke();
    }
    for (const { key } of this.#held) this.#removed.delete(key.sha256);
    for (const hash of [...this.#removed.keys()].slice(0, -MOST_REMOVED)) this.#removed.delete(hash);
    return changesOf(before, this.#held);
  }
}

/** Whether what runs for one key goes on with the other. The names of plain keys say no more than their order. */
function isSame(a: ApiKey, b: ApiKey): boolean {
  return a.sha256 === b.sha256 && a.role === b.role && a.plain === b.plain && (a.plain || a.name === b.name);
}

function changesOf(before: readonly Held[], after: readonly Held[]): KeyChanges {
  const old = new Map(before.map((held) => [held.key.name, held]));
  const young = new Map(after.map((held) => [held.key.name, held]));
  return {
    added: [...young.keys()].filter((name) => !old.has(name)),
    changed: [...young].flatMap(([name, held]) => (old.has(name) && old.get(name) !== held ? [name] : [])),
    removed: [...old.keys()].filter((name) => !young.has(name)),
  };
}

/** A key in force. @param before the same key as it was: what runs for it goes on. */
function hold(key: ApiKey, before: Held | undefined): Held {
  if (before && isDeepStrictEqual(before.key, key)) return before;
  const { name: keyName, role, limits, plain, sha256 } = key;
  const known = { keyName, role, limits, isPlain: plain };
  if (before) return { ...before, key, caller: { ...known, revoked: before.caller.revoked } };
  const life = new AbortController();
  // As many calls listen as run for the key.
  setMaxListeners(0, life.signal);
  return {
    key,
    digest: Buffer.from(sha256, 'hex'),
    caller: { ...known, revoked: life.signal },
    revoke: () => life.abort(new FarmError('unauthorised', `The API key "${keyName}" is no longer valid`)),
  };
}
