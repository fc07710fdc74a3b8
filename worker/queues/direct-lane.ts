import { isOfNewerFormat, type JobOf, jobSchema, type LiveJob } from '../../shared/jobs/jobs.ts';
import type { TakeOffer } from '../../shared/live/direct/frame-link.ts';
import type { Logger } from '../../shared/process/log.ts';
import { HandBack, type JobContext } from '../jobs/job-runner.ts';
import { JobWatch } from '../jobs/job-watch.ts';

/** In the place of a queue's name. */
const LANE = 'direct';

export interface DirectLaneTools {
  readonly handler: (job: LiveJob, context: JobContext, offer: TakeOffer) => Promise<string>;
  /** Whether this worker may begin the job now. */
  readonly mayTake: (job: LiveJob) => boolean;
  /** Called when a job has ended. */
  readonly onEnd: () => void;
  readonly log: Logger;
}

/**
 * Live jobs that their front ends offer to this worker over the connection for frames, without any queue. A front end
 * that is declined, or loses the connection, puts the job on a queue: so nothing of these needs to be kept in Redis.
 */
export class DirectLane {
  readonly #tools: DirectLaneTools;
  /** How each job that runs is stopped. */
  readonly #running = new Map<Promise<void>, AbortController>();

  constructor(tools: DirectLaneTools) {
    this.#tools = tools;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  /** Takes the job if it may. @param data as it came. */
  offer(data: unknown, take: TakeOffer): void {
    const { data: job } = jobSchema.safeParse(data);
    if (isOfNewerFormat(data) || job?.name !== 'live' || !this.#tools.mayTake(job)) return;
    const stop = new AbortController();
    const run = this.#run(job, stop.signal, take).finally(() => {
      this.#running.delete(run);
      this.#tools.onEnd();
    });
    this.#running.set(run, stop);
  }

  /** Lets running jobs finish for `patienceMs`, then leaves them to their front ends. None may be offered after this. */
  async drain(patienceMs: number): Promise<void> {
    const expired = setTimeout(() => {
      for (const stop of this.#running.values()) stop.abort(new HandBack('The worker drains'));
    }, patienceMs);
    await Promise.all(this.#running.keys());
    clearTimeout(expired);
  }

  async #run(job: JobOf<'live'>, signal: AbortSignal, take: TakeOffer): Promise<void> {
    const watch = new JobWatch(job, { queueName: LANE, attempt: 1, placedAtMs: Date.now() });
    const context: JobContext = {
      ...{ begun: Promise.resolve(), attempt: 1, lastTry: true, signal, span: watch.span },
      log: this.#tools.log.child({ job: job.name, ...(job.origin ? { request: job.origin.request } : {}) }),
      progressed: () => watch.progressed(),
      showProgress: () => watch.progressed(),
      moveElsewhere: async () => undefined,
    };
    await this.#tools.handler(job, context, take).then(
      (outcome) => watch.done(outcome),
      // The handler has told the front end, or its run has left: then that places the job again.
      (thrown) => (thrown instanceof HandBack ? watch.done('handed_back') : watch.failed(thrown, true)),
    );
  }
}
