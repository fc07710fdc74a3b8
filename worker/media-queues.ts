import { Consumer, type ConsumerOptions } from './jobs/consumer.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { DrainGate } from './queues/drain-gate.ts';
import { ordersOfHost } from './queues/drain-orders.ts';

type MediaJobName = 'prepare' | 'stitch';
export type MediaConsumerOptions = ConsumerOptions<MediaJobName>;

/** The queues of a media worker, which takes jobs while its host is in service. */
export class MediaQueues {
  readonly #gate: DrainGate;
  readonly #consumers = new Set<Consumer<MediaJobName>>();

  /**
   * @param options of the consumers of each queue.
   * @param onChange called when the host was taken out of service or put back, or a job has ended.
   */
  constructor(options: readonly MediaConsumerOptions[], tools: WorkerTools, onChange: () => void) {
    const consume = () => this.#consume(options, onChange);
    this.#gate = new DrainGate({ orders: ordersOfHost(tools), log: tools.log, consume, onChange });
  }

  get isOpen(): boolean {
    return this.#gate.isOpen;
  }

  get runningJobs(): number {
    return [...this.#consumers].reduce((sum, { runner }) => sum + runner.runningCount(), 0);
  }

  async start(): Promise<void> {
    await this.#gate.start();
  }

  /** Takes no more jobs, lets running ones finish for `patienceMs`, then hands them back. */
  async stop(patienceMs: number): Promise<void> {
    await this.#gate.stop(patienceMs);
  }

  #consume(options: readonly MediaConsumerOptions[], onChange: () => void) {
    const consumers = options.map((each) => new Consumer(each));
    for (const consumer of consumers) {
      this.#consumers.add(consumer);
      consumer.runner.onChange(() => {
        if (!this.isOpen) onChange();
      });
    }
    return {
      drain: async (patienceMs: number) => {
        await Promise.all(consumers.map((consumer) => consumer.drain(patienceMs)));
        for (const consumer of consumers) this.#consumers.delete(consumer);
      },
    };
  }
}
