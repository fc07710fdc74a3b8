import { MINUTE_MS } from '../../shared/units.ts';

/** How much may happen: `size` at once, and `perMinute` in the long run. */
export interface Rate {
  readonly size: number;
  readonly perMinute: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** More names than this are not remembered at once: the one that was unused for longest is forgotten. */
const MOST_NAMES = 10_000;

/** Token buckets by name, of this process alone. */
export class TokenBuckets {
  readonly #buckets = new Map<string, Bucket>();

  /** Takes a token. Returns 0, or the milliseconds after which there is one again. @param nowMs never runs backward. */
  take(name: string, rate: Rate, nowMs = performance.now()): number {
    const bucket = this.#filled(name, rate, nowMs);
    if (bucket.tokens < 1) return ((1 - bucket.tokens) / rate.perMinute) * MINUTE_MS;
    bucket.tokens--;
    return 0;
  }

  /** As `take`, and takes nothing. */
  wait(name: string, rate: Rate, nowMs = performance.now()): number {
    if (!this.#buckets.has(name)) return 0;
    const { tokens } = this.#filled(name, rate, nowMs);
    return tokens < 1 ? ((1 - tokens) / rate.perMinute) * MINUTE_MS : 0;
  }

  #filled(name: string, { size, perMinute }: Rate, nowMs: number): Bucket {
    const bucket = this.#buckets.get(name) ?? { tokens: size, atMs: nowMs };
    bucket.tokens = Math.min(size, bucket.tokens + ((nowMs - bucket.atMs) / MINUTE_MS) * perMinute);
    bucket.atMs = nowMs;
    // The order of a Map is that in which its entries were set.
    this.#buckets.delete(name);
    this.#buckets.set(name, bucket);
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > MOST_NAMES && oldest !== undefined) this.#buckets.delete(oldest);
    return bucket;
  }
}
