import { createHash, timingSafeEqual } from 'node:crypto';

/** The keys that open the farm, over HTTP and gRPC. With none configured it is open to everybody. */
export class ApiKeys {
  readonly #digests: readonly Buffer[];

  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digest);
  }

  /** Takes as long for a wrong key as for a right one. */
  accept(given: string): boolean {
    const presented = digest(given);
    return this.#digests.length === 0 || this.#digests.some((known) => timingSafeEqual(known, presented));
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
