import { setTimeout as delay } from 'node:timers/promises';
import { createRedisBackend, type Job, type Processor, type Span, Worker, type WorkerOptions } from 'bullmq';
import { isSilenceOfRedis, TRY_REDIS_AGAIN_MS } from './redis-patience.ts';

/**
 * BullMQ's worker, but for what becomes of a job that is done while Redis refuses to note that, and for queues on which
 * no job runs: none of theirs can have lost its worker, so one command a second sees that, in place of ten.
 */
export class LastingWorker extends Worker {
  constructor(queueName: string, processor: Processor, options: WorkerOptions) {
    super(queueName, processor, options, backendFor);
  }

  /** Keeps the locks of jobs that were handed to it; a worker that takes jobs by itself does so anyway. */
  startRenewingLocks(): void {
    this.lockManager.start();
  }

  /** BullMQ would count the job as failed, for a fault that is not the job's. */
  protected override async handleCompleted(
    result: unknown,
    job: Job,
    token: string,
    fetchNext?: () => boolean,
    span?: Span,
  ): Promise<Job> {
    for (;;) {
      try {
        return await super.handleCompleted(result, job, token, fetchNext, span);
      } catch (error) {
        if (!isSilenceOfRedis(error) || this.closing) throw error;
      }
      // BullMQ has stopped to renew the lock.
      this.lockManager.trackJob(`${job.id}`, token, Date.now());
      await delay(TRY_REDIS_AGAIN_MS);
    }
  }
}

/** Of a worker, with a look whether any job runs before the one for jobs whose worker has died. */
const backendFor: typeof createRedisBackend = (name, options, connections) => {
  const backend = createRedisBackend(name, options, connections);
  const moveStalled = backend.moveStalledJobsToWait.bind(backend);
  backend.moveStalledJobsToWait = async () => {
    const client = await backend.client;
    return (await client.llen(backend.toKey('active'))) > 0 ? await moveStalled() : [];
  };
  return backend;
};
