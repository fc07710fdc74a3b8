import type { Config } from '../../shared/config/load.ts';
import { ERROR_CATALOGUE } from '../../shared/errors/catalogue.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { JobOf, RenderJob } from '../../shared/jobs/jobs.ts';
import { jobId } from '../../shared/jobs/queues.ts';
import type { Logger } from '../../shared/process/log.ts';
import { logged } from '../../shared/process/unheard.ts';
import { isTerminal } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import { type CancelWatch, RenderEnded } from './cancellation.ts';
import { HandBack, type JobContext, type JobHandler, LostLock, TryAgain } from './job-runner.ts';

/** What all jobs of a render do alike: they stop when the render has ended, and fail it when they cannot succeed. */
export class RenderJobs {
  readonly #config: Config;
  readonly #renders: RenderStore;
  readonly #cancellation: CancelWatch;

  constructor(renders: RenderStore, cancellation: CancelWatch, config: Config) {
    this.#config = config;
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
      if (record.run !== (job as RenderJob).run) return 'skipped: of an earlier run of the render';
      const ended = new AbortController();
      const unwatch = this.#cancellation.watch(renderId, ended);
      const signal = AbortSignal.any([context.signal, ended.signal]);
      const log = context.log.child({ render: renderId });
      try {
        await work(job, { ...context, signal, log });
        if (context.attempt > 1) await this.#mended(job as RenderJob);
        return 'done';
      } catch (error) {
        if (signal.reason instanceof RenderEnded) return 'stopped: render has ended';
        // The job is back in its queue or with another worker: its outcome is decided there.
        const isNoFault =
          error instanceof TryAgain || signal.reason instanceof HandBack || signal.reason instanceof LostLock;
        if (!isNoFault) {
          const fault = FarmError.from(error);
          const queueName = await context.moveElsewhere(fault, true);
          if (queueName) {
            log.warn({ code: fault.code, reason: fault.message, to: queueName }, 'job moved to another GPU');
            return `moved to ${queueName}: ${fault.message}`;
          }
          if (fault.isOfTheFarm) await this.#wait(job as RenderJob, fault, log);
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

  /**
   * Has the job tried again later, by throwing, unless it has waited long enough. What Redis did not answer is thrown on:
   * it cannot be noted there, and no render fails for it.
   */
  async #wait(job: RenderJob, fault: FarmError, log: Logger): Promise<void> {
    if (fault.code === 'redis_unavailable' || fault.code === 'outcome_unknown') throw fault;
    const patienceMs = this.#config.render.farm_fault_minutes * MINUTE_MS;
    const wait = await this.#renders.waits.note(job.renderId, stepOf(job), fault, patienceMs);
    if (!wait) return;
    const { code, message } = fault;
    const inSeconds = Math.round((wait.nextTryAtMs - Date.now()) / 1000);
    log.warn({ code, reason: message, tryAgainInSeconds: inSeconds }, 'the farm is at fault; the job waits');
    throw new TryAgain(wait.nextTryAtMs, fault);
  }

  async #mended(job: RenderJob): Promise<void> {
    const stays = logged('could not note that a render waits no longer; its last step ends that');
    await this.#renders.waits.over(job.renderId, stepOf(job)).catch(stays);
  }

  async #judge(job: RenderJob, error: FarmError, lastTry: boolean, log: Logger): Promise<void> {
    const { code, message, cause } = error;
    if (error.retryable && !lastTry && !error.isOfTheFarm) {
      log.warn({ code, reason: message }, 'job failed and will be tried again');
      return;
    }
    log.error({ code, reason: message, err: cause }, 'job failed');
    await this.#renders.fail(job.renderId, error.toReport(), jobId(job));
  }
}

/** A segment that was moved to another GPU is the same step. */
function stepOf(job: RenderJob): string {
  return job.name === 'segment' ? `segment-${job.segmentIndex}` : job.name;
}
