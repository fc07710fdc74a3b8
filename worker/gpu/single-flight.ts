/** Values that are costly to make: made once for all who ask, kept until dropped. */

/** A map whose values are promises. A failure is seen by all who waited for it and then forgotten. */
export class SingleFlight<T> {
  readonly #values = new Map<string, Promise<T>>();

  /** The value of `key`: the one kept, the one being made, or a new one from `make`. */
  get(key: string, make: () => Promise<T>): Promise<T> {
    const known = this.#values.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#values.set(key, made);
    made.catch(() => {
      if (this.#values.get(key) === made) this.#values.delete(key);
    });
    return made;
  }

  /** Forgets `key` and returns what was kept or being made, if anything. */
  take(key: string): Promise<T> | undefined {
    const value = this.#values.get(key);
    this.#values.delete(key);
    return value;
  }

  /** Keys of what is kept or being made, oldest first. */
  keys(): string[] {
    return [...this.#values.keys()];
  }
}
