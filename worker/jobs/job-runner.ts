import { setTimeout as delay } from 'node:timers/promises';
import { type Job as BullJob, DelayedError, UnrecoverableError, WaitingError, type Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { isOfNewerFormat, type Job, type JobName, type JobOf, jobSchema } from '../../shared/jobs/jobs.ts';
import { count } from '../../shared/metrics/tally.ts';
import type { Logger } from '../../shared/process/log.ts';
import { withProgress } from '../../shared/process/progress.ts';
import { ignored, logged, unexpected } from '../../shared/process/unheard.ts';
import { isConnectionFault } from '../../shared/redis/outage.ts';
import type { TraceSpan } from '../../shared/tracing/contract.ts';
import { JobWatch } from './job-watch.ts';
import { Pace } from './pace.ts';
import { isSilenceOfRedis, TRY_REDIS_AGAIN_MS, untilRedisTakes } from './redis-patience.ts';
import { UnendedRuns } from './unended-runs.ts';

/** A job that has only begun when its worker is told to drain shows its pace a moment later. */
const LOOK_AT_PACE_EVERY_MS = 500;
/** How soon a job that is left to newer workers may come to an older one again. */
const LOOK_AGAIN_MS = 3000;

export interface JobContext {
  /**
   * Resolves when it is noted that the job has begun; rejects when it has ended too many workers. For a live job await it
   * before anything that could end this process; for others it was awaited.
   */
  readonly begun: Promise<void>;
  /** Number of this pickup, from 1: higher than that of any earlier one, also of one that still runs somewhere. */
  readonly attempt: number;
  /** True when any failure of this attempt would be final. */
  readonly lastTry: boolean;
  /** Aborted when the job's lock is lost or a drain's deadline passes; its reason is LostLock or HandBack then. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Covers this run; undefined while nothing is traced. */
  readonly span: TraceSpan | undefined;
  /** Something of the job was done: it is not stuck. */
  progressed(): void;
  /** Percent done, for the dashboard. */
  showProgress(percent: number): void;
  /**
   * Moves the job to the queue of a GPU that may do better after this failure, and returns the name of the queue;
   * undefined when there is none.
   * @param begun false for a job that was not even tried: that costs no attempt.
   */
  moveElsewhere(error: FarmError, begun: boolean): Promise<string | undefined>;
}

/**
 * Returns the outcome in words, for the dashboard. A FarmError that is not retryable fails the job for good; after
 * TryAgain, and after what Redis did not answer or refused, the job is tried again.
 */
export type JobHandler<N extends JobName> = (job: JobOf<N>, context: JobContext) => Promise<string>;

/** One handler for each kind of job on the queue; a kind without one does not compile. */
export type JobHandlers<N extends JobName> = { readonly [K in N]: JobHandler<K> };

export interface JobRunnerOptions<N extends JobName> {
  readonly queueName: string;
  readonly handlers: JobHandlers<N>;
  readonly connection: Redis;
  readonly log: Logger;
  /** Called with a job that failed outside its handler, because it ended its worker each time it was picked up. */
  readonly onLost: (job: JobOf<N>) => Promise<void>;
  /** How jobs are moved to other queues; absent: they stay. */
  readonly relocation?: JobRelocation;
}

export interface JobRelocation {
  /** Puts a job that failed here on another queue and names that; undefined when no other is better. */
  move(bullJob: BullJob, error: FarmError, begun: boolean): Promise<string | undefined>;
}

/** Abort reason of a job that is handed back to its queue because this process drains. */
export class HandBack extends Error {
  override readonly name = 'HandBack';
}

/** Abort reason of a job that another worker may have picked up by now. */
export class LostLock extends Error {
  override readonly name = 'LostLock';
}

/** Thrown by a handler whose machine is at fault, or has no room yet: the job is tried again later, which costs no attempt. */
export class TryAgain extends Error {
  override readonly name = 'TryAgain';
  readonly atMs: number;

  constructor(atMs: number, cause: FarmError) {
    super(cause.message, { cause });
    this.atMs = atMs;
  }
}

interface RunningJob {
  readonly jobId: string;
  readonly name: string;
  readonly stop: AbortController;
  readonly pace: Pace;
}

/** Runs the handlers of one queue's jobs, no matter which BullMQ worker of this process picked them up. */
export class JobRunner<N extends JobName> {
  readonly #options: JobRunnerOptions<N>;
  readonly #runs: UnendedRuns;
  /** A job whose lock was lost may have come again before its first run here has stopped. */
  readonly #running = new Set<RunningJob>();
  readonly #watchers = new Set<() => void>();

  constructor(options: JobRunnerOptions<N>) {
    this.#options = options;
    this.#runs = new UnendedRuns(options.connection);
  }

  /** Jobs of this kind that run now; of all kinds without an argument. */
  runningCount(name?: N): number {
    return [...this.#running].filter((job) => name === undefined || job.name === name).length;
  }

  /** Calls `watcher` whenever a job starts or ends. */
  onChange(watcher: () => void): void {
    this.#watchers.add(watcher);
  }

  /** Listens to a BullMQ worker's events about the jobs that it picked up. */
  attend(worker: Worker): void {
    const { queueName } = this.#options;
    const fault = logged(`fault of the queue ${queueName}`);
    // Of an outage the process tells once, not each of its queues.
    worker.on('error', (error) => {
      if (!isConnectionFault(error)) fault(error);
    });
    worker.on('stalled', () => count('farm_jobs_stalled_total', { queue: queueName }));
    worker.on('failed', (job) => {
      if (job) this.#reportLost(job).catch(unexpected);
    });
    worker.on('lockRenewalFailed', (jobIds) => {
      for (const { jobId, stop } of this.#running)
        if (jobIds.includes(jobId)) stop.abort(new LostLock('The lock of the job was lost'));
    });
  }

  /**
   * Waits for `closed`. Jobs that would still run after `patienceMs` are handed back to their queue: at once where their
   * pace shows it, so that another worker has them early, else when the time is over.
   */
  async drain(closed: Promise<void>, patienceMs: number): Promise<void> {
    const allEnded = new AbortController();
    const handingBack = this.#handBackLate(performance.now() + patienceMs, allEnded.signal);
    await closed;
    allEnded.abort();
    await handingBack;
  }

  async #handBackLate(deadlineMs: number, allEnded: AbortSignal): Promise<void> {
    while (!allEnded.aborted) {
      const leftMs = deadlineMs - performance.now();
      for (const { stop, pace } of this.#running) {
        if (leftMs <= 0 || (pace.leftMs() ?? 0) > leftMs) stop.abort(new HandBack('The worker drains'));
      }
      if (leftMs <= 0) return;
      const pauseMs = Math.min(leftMs, LOOK_AT_PACE_EVERY_MS);
      await delay(pauseMs, undefined, { signal: allEnded, ref: false }).catch(ignored('all jobs ended in time'));
    }
  }

  /** Processes a job that was picked up with `token`. */
  async run(bullJob: BullJob, token: string | undefined): Promise<string> {
    if (isOfNewerFormat(bullJob.data)) await this.#leaveToNewer(bullJob, token);
    const job = this.#parse(bullJob);
    const { attemptsStarted: attempt, timestamp: placedAtMs } = bullJob;
    const watch = new JobWatch(job, { queueName: this.#options.queueName, attempt, placedAtMs });
    const lastTry = bullJob.attemptsMade + 1 >= (bullJob.opts.attempts ?? 1);
    try {
      const outcome = await withProgress(
        () => watch.progressed(),
        () => this.#runWatched(job, bullJob, token, { watch, lastTry }),
      );
      watch.done(outcome);
      return outcome;
    } catch (thrown) {
      watch.failed(thrown, lastTry);
      throw thrown;
    }
  }

  async #runWatched(
    job: JobOf<N>,
    bullJob: BullJob,
    token: string | undefined,
    { watch, lastTry }: { watch: JobWatch; lastTry: boolean },
  ): Promise<string> {
    const { handlers, log } = this.#options;
    const running = { jobId: String(bullJob.id), name: job.name, stop: new AbortController(), pace: new Pace() };
    this.#running.add(running);
    this.#tell();
    try {
      const begun = this.#runs.begin(bullJob);
      begun.catch(ignored('whoever awaits it, here or in the handler, is told'));
      // Somebody waits for a live job: its handler fetches the payload meanwhile.
      if (job.name !== 'live') await begun;
      return await handlers[job.name as N](job, {
        begun,
        attempt: bullJob.attemptsStarted + attemptsBefore(job),
        lastTry,
        signal: running.stop.signal,
        log: log.child({ job: job.name, ...(job.origin ? { request: job.origin.request } : {}) }),
        span: watch.span,
        progressed: () => watch.progressed(),
        showProgress: (percent) => {
          watch.progressed();
          running.pace.note(percent);
          bullJob.updateProgress(percent).catch(ignored('for the dashboard only, and the next one replaces it'));
        },
        moveElsewhere: async (error, begun) => await this.#options.relocation?.move(bullJob, error, begun),
      });
    } catch (thrown) {
      return await this.#putBack(bullJob, token, thrown, running.stop.signal);
    } finally {
      this.#runs.end(bullJob);
      this.#running.delete(running);
      this.#tell();
    }
  }

  /** Puts a job that did not succeed where it belongs. Always throws, as BullMQ wants it. */
  async #putBack(bullJob: BullJob, token: string | undefined, thrown: unknown, signal: AbortSignal): Promise<never> {
    if (signal.reason instanceof HandBack) {
      await bullJob.moveToWait(token);
      throw new WaitingError();
    }
    const error = FarmError.from(thrown);
    // Nothing of what the handler wanted to write can be trusted to be there: it does it again.
    const again = isSilenceOfRedis(error) ? new TryAgain(Date.now() + TRY_REDIS_AGAIN_MS, error) : thrown;
    if (again instanceof TryAgain) {
      // While Redis refuses that, it is held here: no job fails for a fault of Redis.
      await untilRedisTakes(() => bullJob.moveToDelayed(again.atMs, token), signal);
      throw new DelayedError();
    }
    throw error.retryable ? error : new UnrecoverableError(`${error.code}: ${error.message}`);
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }

  /** Puts a job back for a worker of a newer version: it costs no attempt. Always throws, as BullMQ wants it. */
  async #leaveToNewer(bullJob: BullJob, token: string | undefined): Promise<never> {
    this.#options.log.warn({ job: bullJob.id }, 'job of a newer version of the farm; left to workers that know it');
    await bullJob.moveToDelayed(Date.now() + LOOK_AGAIN_MS, token);
    throw new DelayedError();
  }

  #parse(bullJob: BullJob): JobOf<N> {
    const parsed = jobSchema.safeParse(bullJob.data);
    if (!parsed.success || !(parsed.data.name in this.#options.handlers)) {
      throw new UnrecoverableError(`No handler for job ${bullJob.name} on queue ${this.#options.queueName}`);
    }
    return parsed.data as JobOf<N>;
  }

  async #reportLost(bullJob: BullJob): Promise<void> {
    try {
      if (await bullJob.isFailed()) await this.#options.onLost(this.#parse(bullJob));
    } catch (error) {
      this.#options.log.warn({ job: bullJob.id, reason: (error as Error).message }, 'could not report a failed job');
    }
  }
}

function attemptsBefore(job: Job): number {
  return job.name === 'segment' ? (job.moved?.attempts ?? 0) : 0;
}
