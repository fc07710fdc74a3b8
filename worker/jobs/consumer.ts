import { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { JobName } from '../../shared/jobs.ts';
import { WORKER_TIMING } from '../../shared/queues.ts';
import { KEY_PREFIX } from '../../shared/redis.ts';
import { JobRunner, type JobRunnerOptions } from './job-runner.ts';

export interface ConsumerOptions<N extends JobName> extends JobRunnerOptions<N> {
  readonly connection: Redis;
  /** Jobs at once; 1 by default. */
  readonly concurrency?: number;
}

/** Consumes one queue: picks jobs up, hands them to their handlers, hands them back when it drains. */
export class Consumer<N extends JobName> {
  readonly runner: JobRunner<N>;
  readonly #worker: Worker;

  constructor(options: ConsumerOptions<N>) {
    const { queueName, connection, concurrency = 1 } = options;
    this.runner = new JobRunner(options);
    this.#worker = new Worker(queueName, (job, token) => this.runner.run(job, token), {
      connection,
      prefix: KEY_PREFIX,
      concurrency,
      ...WORKER_TIMING,
    });
    this.runner.attend(this.#worker);
  }

  /** Stops taking jobs, lets running ones finish for `patienceMs`, then hands them back to the queue. */
  async drain(patienceMs: number): Promise<void> {
    await this.runner.drain(this.#worker.close(), patienceMs);
  }
}
