/**
 * Looks that those who ask for the same thing within a moment share: two hundred who watch one render cost what one
 * does.
 */
export class SharedLooks<T> {
  readonly #look: (id: string) => Promise<T>;
  readonly #lifetimeMs: number;
  readonly #looks = new Map<string, { readonly beganAtMs: number; readonly found: Promise<T> }>();

  /** @param lifetimeMs how old an answer may be when it is given. */
  constructor(look: (id: string) => Promise<T>, lifetimeMs: number) {
    this.#look = look;
    this.#lifetimeMs = lifetimeMs;
  }

  /**
   * What the latest look found; rejects as that did.
   * @param notBeforeMs by performance.now(): looks that began earlier are of no use.
   */
  at(id: string, notBeforeMs = Number.NEGATIVE_INFINITY): Promise<T> {
    const known = this.#looks.get(id);
    if (known && known.beganAtMs >= notBeforeMs) return known.found;
    const look = { beganAtMs: performance.now(), found: this.#look(id) };
    this.#looks.set(id, look);
    const forget = () => {
      if (this.#looks.get(id) === look) this.#looks.delete(id);
    };
    setTimeout(forget, this.#lifetimeMs).unref();
    return look.found;
  }
}
