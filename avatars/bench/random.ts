/** Random numbers that are the same on every machine: whole-number arithmetic only (mulberry32). */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** `count` numbers between −bound and bound. */
  uniform(count: number, bound: number): Float32Array {
    const numbers = new Float32Array(count);
    const scale = (2 * bound) / 2 ** 32;
    for (let index = 0; index < count; index++) numbers[index] = this.#next() * scale - bound;
    return numbers;
  }

  /** 0 … 2³² − 1. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}
