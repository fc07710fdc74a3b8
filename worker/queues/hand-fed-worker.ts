import { randomUUID } from 'node:crypto';
import { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { JobName } from '../../shared/jobs.ts';
import { WORKER_TIMING } from '../../shared/queues.ts';
import { KEY_PREFIX } from '../../shared/redis.ts';
import type { JobRunner } from '../jobs/job-runner.ts';
import { workerName } from '../jobs/lost-jobs.ts';

/** The part of BullMQ's worker that renews the locks of jobs that were handed to it. */
class LockKeepingWorker extends Worker {
  startRenewingLocks(): void {
    this.lockManager.start();
  }
}

type BullJob = NonNullable<Awaited<ReturnType<Worker['getNextJob']>>>;

/** A job that was taken off its queue and waits for what its taker says. */
export interface TakenJob {
  readonly data: unknown;
  /** Runs it; resolves when it has ended, however. Closing waits for it. */
  run(): Promise<void>;
  /** Puts it back at the head of its queue; costs no attempt. */
  handBack(): Promise<void>;
}

/** A worker that takes a job only when it is told to; the lock of each is renewed as if it had picked it up itself. */
export class HandFedWorker<N extends JobName> {
  readonly #runner: JobRunner<N>;
  readonly #worker: LockKeepingWorker;
  readonly #processing = new Set<Promise<unknown>>();

  constructor(queueName: string, runner: JobRunner<N>, connection: Redis) {
    this.#runner = runner;
    this.#worker = new LockKeepingWorker(queueName, (job, token) => runner.run(job, token), {
      connection,
      prefix: KEY_PREFIX,
      autorun: false,
      name: workerName(),
      ...WORKER_TIMING,
    });
    this.#worker.startRenewingLocks();
    runner.attend(this.#worker);
  }

  /** Also looks for jobs whose worker died: for queues whose own worker may not be looking. */
  watchForStalledJobs(): void {
    this.#worker.startStalledCheckTimer().catch(() => {});
  }

  /** The next job of the queue, or undefined when none waits. */
  async take(): Promise<TakenJob | undefined> {
    const token = randomUUID();
    const job = await this.#worker.getNextJob(token, { block: false });
    if (!job) return undefined;
    return {
      data: job.data,
      run: () => this.#process(job, token),
      handBack: async () => void (await job.moveToWait(token)),
    };
  }

  /** Lets running jobs finish for `patienceMs`, then hands them back. Nobody may take any more. */
  async drain(patienceMs: number): Promise<void> {
    await this.#runner.drain(this.#close(), patienceMs);
  }

  async #process(job: BullJob, token: string): Promise<void> {
    const processing = this.#worker
      .processJob(job, token, () => false)
      .catch(() => {})
      .finally(() => this.#processing.delete(processing));
    this.#processing.add(processing);
    await processing;
  }

  async #close(): Promise<void> {
    // Closing a worker waits for the jobs that it picked up itself, and these it did not.
    await Promise.all(this.#processing);
    await this.#worker.close();
  }
}
