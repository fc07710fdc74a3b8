import type { Queue } from 'bullmq';
import type { JobName } from '../../shared/jobs/jobs.ts';
import { WORKER_TIMING } from '../../shared/jobs/queues.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { JobRunner, type JobRunnerOptions } from './job-runner.ts';
import { LastingWorker } from './lasting-worker.ts';
import { releaseLostJobs, workerName } from './lost-jobs.ts';

export interface ConsumerOptions<N extends JobName> extends Omit<JobRunnerOptions<N>, 'queueName'> {
  readonly queue: Queue;
  /** Jobs at once; 1 by default. */
  readonly concurrency?: number;
}

/** Consumes one queue: picks jobs up, runs their handlers, and hands the jobs back when it drains. */
export class Consumer<N extends JobName> {
  readonly runner: JobRunner<N>;
  readonly #worker: LastingWorker;

  constructor(options: ConsumerOptions<N>) {
    const { queue, connection, concurrency = 1, log } = options;
    this.runner = new JobRunner({ ...options, queueName: queue.name });
    this.#worker = new LastingWorker(queue.name, (job, token) => this.runner.run(job, token), {
      connection,
      prefix: KEY_PREFIX,
      concurrency,
      name: workerName(),
      ...WORKER_TIMING,
    });
    this.runner.attend(this.#worker);
    releaseLostJobs(queue, connection).catch((error: Error) => {
      // Their locks run out by themselves.
      log.warn({ queue: queue.name, reason: error.message }, 'could not free the jobs of a dead process');
    });
  }

  /** Stops taking jobs, lets running ones finish for `patienceMs`, then hands them back to the queue. */
  async drain(patienceMs: number): Promise<void> {
    await this.runner.drain(this.#worker.close(), patienceMs);
  }
}
