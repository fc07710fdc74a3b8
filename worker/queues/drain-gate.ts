import type { Logger } from '../../shared/process/log.ts';
import { type Repeated, repeat } from '../../shared/process/repeat.ts';
import type { QueueConsumer } from './orphan-queues.ts';

/** Whether an operator has taken this worker out of service. */
export interface DrainOrders {
  isDrained(): Promise<boolean>;
  /** Calls `wake` when an order was given; it may be lost. */
  listen(wake: () => void): Promise<void>;
}

export interface DrainGateTools {
  readonly orders: DrainOrders;
  readonly log: Logger;
  readonly consume: () => QueueConsumer;
  /** Called when the worker was taken out of service or put back. */
  readonly onChange: () => void;
}

/** An order is seen after this long at the latest, when its wake-up was lost. */
const LOOK_EVERY_MS = 2000;
/**
 * Jobs that run when a drain is ordered may finish, however long they take. This is the longest time a timer can wait.
 */
const AS_LONG_AS_IT_TAKES_MS = 2 ** 31 - 1;

/** Takes a worker out of service and puts it back as the operator orders, by closing and opening its own queues. */
export class DrainGate {
  readonly #tools: DrainGateTools;
  /** The consumer that takes jobs, and those that still finish jobs after a drain was ordered. */
  readonly #consumers = new Set<QueueConsumer>();
  #taking: QueueConsumer | undefined;
  #looking: Repeated | undefined;

  constructor(tools: DrainGateTools) {
    this.#tools = tools;
  }

  /** True while jobs are taken. */
  get isOpen(): boolean {
    return this.#taking !== undefined;
  }

  /** Takes jobs from now on, unless the worker is out of service. */
  async start(): Promise<void> {
    const { orders, log } = this.#tools;
    await orders.listen(() => this.#looking?.now());
    await this.#follow();
    // At once again: an order may have come while this one was followed.
    this.#looking = repeat(() => this.#follow(), {
      ...{ name: 'follow the drain orders', everyMs: LOOK_EVERY_MS, log, first: 'now' },
    });
  }

  /** Takes no more jobs, lets running ones finish for `patienceMs`, then hands them back. */
  async stop(patienceMs: number): Promise<void> {
    await this.#looking?.stop();
    this.#taking = undefined;
    await Promise.all([...this.#consumers].map((consumer) => consumer.drain(patienceMs)));
  }

  async #follow(): Promise<void> {
    const { orders, consume, onChange } = this.#tools;
    const open = !(await orders.isDrained());
    if (open === this.isOpen) return;
    if (open) {
      this.#taking = consume();
      this.#consumers.add(this.#taking);
    } else {
      this.#finish(this.#taking as QueueConsumer);
      this.#taking = undefined;
    }
    onChange();
  }

  #finish(consumer: QueueConsumer): void {
    consumer
      .drain(AS_LONG_AS_IT_TAKES_MS)
      .catch((error: Error) => this.#tools.log.warn({ reason: error.message }, 'could not close a drained queue'))
      .finally(() => this.#consumers.delete(consumer));
  }
}
