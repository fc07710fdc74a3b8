import { MB } from '../units.ts';

/** Has room for so many bytes in all. @throws FarmError `storage_full`. */
export type MakeRoom = (bytes: number) => Promise<void>;

/** Bytes that come without anybody saying how many in all: room is asked for as they grow. */
const STEP_BYTES = 64 * MB;

/** Room for what has no known length. */
export class GrowingRoom {
  readonly #makeRoom: MakeRoom;
  #askedFor = 0;
  #bytes: number;

  /** @param bytes that are there already. */
  constructor(makeRoom: MakeRoom, bytes = 0) {
    this.#makeRoom = makeRoom;
    this.#bytes = bytes;
  }

  /** All so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Called before more bytes are written. @throws what `makeRoom` throws. */
  async grow(bytes: number): Promise<void> {
    this.#bytes += bytes;
    if (this.#bytes < this.#askedFor) return;
    await this.#makeRoom(this.#bytes);
    this.#askedFor = this.#bytes + STEP_BYTES;
  }
}
