import { setTimeout as delay } from 'node:timers/promises';
import { type Job, type Span, Worker } from 'bullmq';
import { isSilenceOfRedis, TRY_REDIS_AGAIN_MS } from './redis-patience.ts';

/** BullMQ's worker, but for what becomes of a job that is done while Redis refuses to note that. */
export class LastingWorker extends Worker {
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
