/** Unloads models when somebody wants it and nobody uses them. */
export class IdleUnloads {
  readonly #unload: (modelId: string) => Promise<unknown>;
  readonly #users = new Map<string, number>();
  readonly #wanted = new Set<string>();

  constructor(unload: (modelId: string) => Promise<unknown>) {
    this.#unload = unload;
  }

  /** Unloads the model now, or when its last user is done. */
  want(modelId: string): void {
    this.#wanted.add(modelId);
    this.#unloadIfIdle(modelId);
  }

  /** Keeps the model in memory until it is disposed of. */
  use(modelId: string): Disposable {
    this.#count(modelId, 1);
    return {
      [Symbol.dispose]: () => {
        this.#count(modelId, -1);
        this.#unloadIfIdle(modelId);
      },
    };
  }

  #count(modelId: string, by: number): void {
    this.#users.set(modelId, (this.#users.get(modelId) ?? 0) + by);
  }

  #unloadIfIdle(modelId: string): void {
    if ((this.#users.get(modelId) ?? 0) > 0 || !this.#wanted.delete(modelId)) return;
    this.#unload(modelId).catch(() => {});
  }
}
