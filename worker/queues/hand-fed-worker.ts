import { randomUUID } from 'node:crypto';
import type { Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import type { JobName } from '../../shared/jobs/jobs.ts';
import { WORKER_TIMING } from '../../shared/jobs/queues.ts';
import { ignored, logged } from '../../shared/process/unheard.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import type { JobRunner } from '../jobs/job-runner.ts';
import { LastingWorker } from '../jobs/lasting-worker.ts';
import { workerName } from '../jobs/lost-jobs.ts';

type BullJob = NonNullable<Awaited<ReturnType<Worker['getNextJob']>>>;

/** A job that was taken off its queue: the taker either runs it or puts it back. */
export interface TakenJob {
  readonly data: unknown;
  /** Runs it; resolves when it has succeeded or failed. Closing waits for it. */
  run(): Promise<void>;
  /** Puts it back at the head of its queue; costs no attempt. */
  handBack(): Promise<void>;
}

/** A BullMQ worker that takes a job only when it is told to; it renews the job's lock as for any job of a worker. */
export class HandFedWorker<N extends JobName> {
  readonly #runner: JobRunner<N>;
  readonly #worker: LastingWorker;
  readonly #processing = new Set<Promise<unknown>>();

  constructor(queueName: string, runner: JobRunner<N>, connection: Redis) {
    this.#runner = runner;
    this.#worker = new LastingWorker(queueName, (job, token) => runner.run(job, token), {
      connection,
      prefix: KEY_PREFIX,
      autorun: false,
      name: workerName(),
      ...WORKER_TIMING,
    });
    this.#worker.startRenewingLocks();
    runner.attend(this.#worker);
  }

  /** Also looks for jobs whose worker died, for queues whose own worker may be dead too. */
  watchForStalledJobs(): void {
    this.#worker.startStalledCheckTimer().catch(ignored("it comes as the worker's error event, which is logged"));
  }

  /** The next job of the queue, or undefined when none waits. */
  async take(): Promise<TakenJob | undefined> {
    const token = randomUUID();
    const job = await this.#worker.getNextJob(token, { block: false });
    if (!job) return undefined;
    return {
      data: job.data,
      run: () => this.#process(job, token),
      handBack: async () => {
        await job.moveToWait(token);
      },
    };
  }

  /** Lets running jobs finish for `patienceMs`, then hands them back. No job may be taken after this call. */
  async drain(patienceMs: number): Promise<void> {
    await this.#runner.drain(this.#close(), patienceMs);
  }

  async #process(job: BullJob, token: string): Promise<void> {
    const processing = this.#worker
      .processJob(job, token, () => false)
      // Failed jobs do not come here: their handlers log them.
      .catch(logged('could not write how a job ended; it is found as stalled and runs again'))
      .finally(() => this.#processing.delete(processing));
    this.#processing.add(processing);
    await processing;
  }

  async #close(): Promise<void> {
    // BullMQ's close waits only for jobs that the worker picked up by itself, so these are waited for here.
    await Promise.all(this.#processing);
    await this.#worker.close();
  }
}
