import { totalmem } from 'node:os';
import { FarmError } from '../shared/errors/farm-error.ts';
import { MB } from '../shared/units.ts';

/** The part of the machine's memory that a front end may fill when nothing is configured; workers need the rest. */
const PART_OF_MACHINE = 1 / 4;
/** Room for one message of the largest size, whatever the machine. */
const LEAST_BYTES = 512 * MB;

/**
 * The memory that requests may take together in this process. What is taken is counted before it is filled, so that a
 * client that sends much, or reads slowly, is refused instead of ending the process.
 */
export class MemoryBudget {
  readonly totalBytes: number;
  #heldBytes = 0;

  /** @param configuredMb limits.memory_budget_mb; 0: a quarter of the machine's memory, or of the container's. */
  constructor(configuredMb: number) {
    this.totalBytes = configuredMb > 0 ? configuredMb * MB : Math.max(LEAST_BYTES, machineBytes() * PART_OF_MACHINE);
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** A share for one request, which is empty at first. */
  share(): MemoryShare {
    return new MemoryShare((bytes) => this.#take(bytes));
  }

  /** @param bytes negative: gives back. */
  #take(bytes: number): void {
    const freeBytes = this.totalBytes - this.#heldBytes;
    if (bytes > freeBytes) {
      const text = `This front end has ${inMb(freeBytes)} MB of ${inMb(this.totalBytes)} MB for requests left`;
      throw new FarmError('memory_full', `${text}; this one needs ${inMb(bytes)} MB more`);
    }
    this.#heldBytes += bytes;
  }
}

/** What one request has of the budget. */
export class MemoryShare implements Disposable {
  readonly #take: (bytes: number) => void;
  #held = 0;
  #ended = false;

  constructor(take: (bytes: number) => void) {
    this.#take = take;
  }

  /** FarmError('memory_full') when so much is not left. */
  grow(bytes: number): void {
    if (this.#ended) return;
    this.#take(bytes);
    this.#held += bytes;
  }

  shrink(bytes: number): void {
    this.grow(-Math.min(bytes, this.#held));
  }

  [Symbol.dispose](): void {
    this.shrink(this.#held);
    this.#ended = true;
  }
}

function machineBytes(): number {
  // 0, or far more than there is, where no limit is set.
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

function inMb(bytes: number): string {
  return (bytes / MB).toFixed(1);
}
