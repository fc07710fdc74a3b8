/**
 * Looks that those who ask for the same thing within a moment share: two hundred who watch one render cost what one
 * does.
 */
export class SharedLooks<T> {
  readonly #look: (id: string) => Promise<T>;
  readonly #lifetimeMs: number;
  readonly #looks = new Map<string, Promise<T>>();

  /** @param lifetimeMs how old an answer may be when it is given. */
  constructor(look: (id: string) => Promise<T>, lifetimeMs: number) {
    this.#look = look;
    this.#lifetimeMs = lifetimeMs;
  }

  /** What the latest look found; rejects as that did. */
  at(id: string): Promise<T> {
    const known = this.#looks.get(id);
    if (known) return known;
    const look = this.#look(id);
    this.#looks.set(id, look);
    setTimeout(() => this.#looks.delete(id), this.#lifetimeMs).unref();
    return look;
  }
}
