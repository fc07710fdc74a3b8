/** Numbers that look random and are the same for the same seed, so that a case can be made again. */
export class Random {
  #state: number;

  /** @param words numbers and names that together are the seed. */
  constructor(...words: readonly (number | string)[]) {
    this.#state = 0x9e3779b9;
    for (const letter of words.join('\0')) {
      this.#state = Math.imul(this.#state ^ letter.charCodeAt(0), 0x85ebca6b);
      this.#state ^= this.#state >>> 13;
    }
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number in [0, end). */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  /** Each of them or not. */
  some<T>(from: readonly T[], share = 0.3): T[] {
    return from.filter(() => this.chance(share));
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}
