import { ERROR_CATALOGUE, FarmError } from '../../shared/errors.ts';
import type { JobOf, RenderJob } from '../../shared/jobs.ts';
import type { Logger } from '../../shared/process/log.ts';
import { jobId } from '../../shared/queues.ts';
import { isTerminal } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import { type CancelWatch, RenderEnded } from './cancellation.ts';
import { HandBack, type JobContext, type JobHandler, LostLock } from './job-runner.ts';

/** What all jobs of a render do alike: they stop when the render has ended, and fail it when they cannot succeed. */
export class RenderJobs {
  readonly #renders: RenderStore;
  readonly #cancellation: CancelWatch;

  constructor(renders: RenderStore, cancellation: CancelWatch) {
    this.#renders = renders;
    this.#cancellation = cancellation;
  }

  /**
   * Makes a job handler from `work`.
   * @param tidy called instead of `work` when the render has ended: an attempt before may have died at its last step.
   */
  handler<N extends RenderJob['name']>(
    work: (job: JobOf<N>, context: JobContext) => Promise<void>,
    tidy: (renderId: string) => Promise<void> = async () => {},
  ): JobHandler<N> {
    return async (job, context) => {
      const { renderId } = job as RenderJob;
      const record = await this.#renders.find(renderId);
      if (!record || isTerminal(record.status)) {
        await tidy(renderId);
        return `skipped: render is ${record?.status ?? 'deleted'}`;
      }
      const ended = new AbortController();
      const unwatch = this.#cancellation.watch(renderId, ended);
      const signal = AbortSignal.any([context.signal, ended.signal]);
      const log = context.log.child({ render: renderId });
      try {
        await work(job, { ...context, signal, log });
        return 'done';
      } catch (error) {
        if (signal.reason instanceof RenderEnded) return 'stopped: render has ended';
        // The job is back in its queue or with another worker: its outcome is decided there.
        if (!(signal.reason instanceof HandBack || signal.reason instanceof LostLock)) {
          const fault = FarmError.from(error);
          const queueName = await context.moveElsewhere(fault, true);
          if (queueName) {
            log.warn({ code: fault.code, reason: fault.message, to: queueName }, 'job moved to another GPU');
            return `moved to ${queueName}: ${fault.message}`;
          }
          await this.#judge(job as RenderJob, fault, context.lastTry, log);
        }
        throw error;
      } finally {
        unwatch();
      }
    };
  }

  /** Ends the render of a job that ended its worker every time. */
  async lost(job: RenderJob): Promise<void> {
    const { remedy } = ERROR_CATALOGUE.worker_lost;
    const message = `The ${job.name} job of render ${job.renderId} ended its worker every time it was picked up`;
    await this.#renders.fail(job.renderId, { code: 'worker_lost', message, remedy }, jobId(job));
  }

  async #judge(job: RenderJob, error: FarmError, lastTry: boolean, log: Logger): Promise<void> {
    const { code, message, cause } = error;
    if (error.retryable && !lastTry) {
      log.warn({ code, reason: message }, 'job failed and will be tried again');
      return;
    }
    log.error({ code, reason: message, err: cause }, 'job failed');
    await this.#renders.fail(job.renderId, error.toReport(), jobId(job));
  }
}
