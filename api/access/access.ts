import { isIPv6 } from 'node:net';
import { type Role, UNGUESSABLE_LENGTH } from '../../shared/api-keys.ts';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Logger } from '../../shared/process/log.ts';
import { ANYBODY, type Caller, mayDo } from './caller.ts';
import { type KeyChanges, KeyRing } from './key-ring.ts';
import { RefusalLog } from './refusal-log.ts';
import { type Rate, TokenBuckets } from './token-buckets.ts';

/** A request or a call, as far as it matters who may make it. */
export interface Attempt {
  /** As it was presented; '' for none. */
  readonly key: string;
  /** Of the sender. */
  readonly address: string;
  /** What is asked for, in the words of this farm: never the caller's own text. */
  readonly route: string;
  readonly needs: Role;
}

export interface AccessTools {
  readonly config: Pick<Config, 'auth'>;
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** Wrong keys that one address may present. */
const WRONG_KEYS: Rate = { size: 20, perMinute: 20 };

/**
 * The one check of every way in, HTTP and gRPC: who it is, whether he may do that, and whether he comes too often.
 * Refusals are logged, with the address and without the key.
 */
export class Access {
  readonly #config: Pick<Config, 'auth'>;
  readonly #log: AccessTools['log'];
  readonly #ring: KeyRing;
  readonly #refusals: RefusalLog;
  readonly #wrongKeys = new TokenBuckets();
  readonly #requests = new TokenBuckets();

  constructor({ config, log }: AccessTools) {
    this.#config = config;
    this.#log = log;
    this.#ring = new KeyRing(config.auth.keys);
    this.#refusals = new RefusalLog(log);
    this.#adviseAgainstWeakKeys();
  }

  /** Whether everybody may come in, without a key. */
  get isOpen(): boolean {
    return this.#ring.isOpen;
  }

  /** Lets a request in. FarmError: unauthorised, rate_limited, forbidden. */
  enter(attempt: Attempt): Caller {
    if (this.#ring.isOpen) return ANYBODY;
    return this.admit(this.identify(attempt), attempt);
  }

  /**
   * Whose key it is, whatever he wants. FarmError: unauthorised, or rate_limited when wrong keys came from the address
   * too often. Then keys that could be guessed are not even looked at; one that nobody can guess still opens the farm,
   * so that nobody is locked out by a neighbour behind the same address.
   */
  identify(attempt: Attempt): Caller {
    const { key, address } = attempt;
    if (key === '') throw this.#refused(attempt, 'no key', unauthorised('The request carries no API key'));
    const from = network(address);
    const waitMs = this.#wrongKeys.wait(from, WRONG_KEYS);
    if (waitMs > 0 && key.length < UNGUESSABLE_LENGTH) throw this.#tooManyWrongKeys(attempt, waitMs);
    const found = this.#ring.find(key);
    if (found.caller) return found.caller;
    const againMs = this.#wrongKeys.take(from, WRONG_KEYS);
    if (againMs > 0) throw this.#tooManyWrongKeys(attempt, againMs);
    throw this.#refused(attempt, found.why, unauthorised('The request carries no valid API key'));
  }

  /** Lets somebody do something, who was identified before. FarmError: unauthorised, rate_limited, forbidden. */
  admit(caller: Caller, attempt: Omit<Attempt, 'key'>): Caller {
    if (caller.revoked.aborted) throw this.#refused(attempt, 'removed key', caller.revoked.reason);
    const { keyName = '', role, limits } = caller;
    const { requestsPerMinute } = limits;
    const rate = { size: requestsPerMinute, perMinute: requestsPerMinute };
    const waitMs = requestsPerMinute > 0 ? this.#requests.take(keyName, rate) : 0;
    if (waitMs > 0) {
      const message = `The key "${keyName}" may make ${requestsPerMinute} requests a minute`;
      throw this.#refused(attempt, 'too many requests', tooOften(message, waitMs), keyName);
    }
    if (mayDo(role, attempt.needs)) return caller;
    const message = `The key "${keyName}" has the role "${role}"; this needs "${attempt.needs}"`;
    throw this.#refused(attempt, `role "${role}"`, new FarmError('forbidden', message), keyName);
  }

  /** Whose key has a hash that fits. For who has shown his key before, and may now be admitted without it. */
  callerWith(fits: (sha256: string) => boolean): Caller | undefined {
    return this.#ring.findWith(fits);
  }

  /** Puts the keys in force that the configuration has now. */
  reload(): KeyChanges {
    const changes = this.#ring.replace(this.#config.auth.keys);
    if (Object.values(changes).every((names) => names.length === 0)) return changes;
    this.#log.info(changes, 'API keys reloaded');
    this.#adviseAgainstWeakKeys();
    if (this.#ring.isEmpty) {
      this.#log.error(
        'the configuration has no API keys any more: all requests are refused until it has, or a restart',
      );
    }
    return changes;
  }

  #tooManyWrongKeys(attempt: Attempt, waitMs: number): FarmError {
    const error = tooOften('Too many wrong API keys came from this address', waitMs);
    return this.#refused(attempt, 'too many wrong keys', error);
  }

  #refused(attempt: Omit<Attempt, 'key'>, reason: string, error: FarmError, keyName?: string): FarmError {
    const { address, route } = attempt;
    this.#refusals.note({ address, route, reason, ...(keyName === undefined ? {} : { keyName }) });
    return error;
  }

  #adviseAgainstWeakKeys(): void {
    const weak = this.#config.auth.keys.filter(({ isWeak }) => isWeak).map(({ name }) => name);
    if (weak.length === 0) return;
    this.#log.warn({ keys: weak }, 'API keys that are short enough to be guessed; `farm key new` makes better ones');
  }
}

function unauthorised(message: string): FarmError {
  return new FarmError('unauthorised', message);
}

function tooOften(message: string, waitMs: number): FarmError {
  return new FarmError('rate_limited', message, { retryAfterSeconds: Math.ceil(waitMs / 1000) });
}

/** What counts as one sender: an IPv4 address, or the network of an IPv6 address, of which anybody has many. */
function network(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  if (!isIPv6(plain)) return plain;
  const [head = '', tail] = plain.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(':').filter((group) => group !== '').length;
  return [...groups, ...Array<string>(missing).fill('0')].slice(0, 4).join(':');
}
