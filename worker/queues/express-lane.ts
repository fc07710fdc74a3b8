import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { JobName } from '../../shared/jobs/jobs.ts';
import { LIVE_PRIORITY } from '../../shared/jobs/queues.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import { unexpected } from '../../shared/process/unheard.ts';
import { nextSegment } from '../jobs/fair-order.ts';
import type { JobRunner } from '../jobs/job-runner.ts';
import { HandFedWorker } from './hand-fed-worker.ts';
import type { LiveWakeUps } from './live-wake-ups.ts';

export interface ExpressLaneOptions<N extends JobName> {
  readonly queue: Queue;
  /** The runner of the ordinary lane, which takes one job at a time. */
  readonly runner: JobRunner<N | 'live'>;
  /** Live jobs that run now, wherever they came from. */
  readonly liveJobs: () => number;
  readonly connection: Redis;
  readonly wakeUps: LiveWakeUps;
  readonly log: RepeatLog;
}

/** Live jobs at once: their frames share the runs of the network. The payload of each may have 59 MB. */
export const MAX_LIVE = 32;
/** A live job waits this long at most when its wake-up was lost. */
const LOOK_EVERY_MS = 250;
/** Live jobs that never end keep the ordinary lane from segments for this long; then one is let in. */
const SEGMENT_WAITS_MS = 1000;

/**
 * Picks live jobs up while the ordinary lane of the queue is busy; an idle ordinary lane takes them itself, at once.
 * The express lane looks for live jobs when it is woken, when a job starts or ends, and every so often while a job
 * runs, so that no live job is left behind.
 *
 * It looks at the next job before it takes one, since that could be a second segment. A segment that is taken all the
 * same, because the queue changed in between, is run like any other. So is one that has waited behind live jobs for
 * long: it then has their priority.
 */
export class ExpressLane<N extends JobName> {
  readonly #runner: JobRunner<N | 'live'>;
  readonly #liveJobs: () => number;
  readonly #worker: HandFedWorker<N | 'live'>;
  readonly #queue: Queue;
  readonly #looking: Repeated;
  readonly #stopListening: () => void;
  #open = true;
  #isBehind = false;
  /** When no segment had to wait last: one ran, or nothing did. */
  #segmentsHadTheirTurnAt = performance.now();

  constructor({ queue, runner, liveJobs, connection, wakeUps, log }: ExpressLaneOptions<N>) {
    this.#runner = runner;
    this.#liveJobs = liveJobs;
    this.#queue = queue;
    this.#worker = new HandFedWorker(queue.name, runner, connection);
    const name = `look for live jobs on ${queue.name}`;
    this.#looking = repeat(() => this.#look(), { name, everyMs: LOOK_EVERY_MS, log });
    const look = () => this.#looking.now();
    runner.onChange(look);
    this.#stopListening = wakeUps.on(queue.name, look);
  }

  /** True while live jobs wait in the queue because as many run as may. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** A live job of another source has ended, so there may be room. */
  roomMayBe(): void {
    if (this.#isBehind) this.#looking.now();
  }

  /** Stops taking jobs, lets running ones finish for `patienceMs`, then hands them back to the queue. */
  async drain(patienceMs: number): Promise<void> {
    this.#open = false;
    this.#stopListening();
    await this.#looking.stop();
    await this.#worker.drain(patienceMs);
  }

  async #look(): Promise<void> {
    await this.#letSegmentIn();
    await this.#takeAll();
  }

  /** Puts the next segment among the live jobs when these have kept all segments waiting for long. */
  async #letSegmentIn(): Promise<void> {
    const now = performance.now();
    const waits = this.#runner.runningCount() > 0 && this.#runner.runningCount('segment' as N) === 0;
    if (!waits) this.#segmentsHadTheirTurnAt = now;
    if (!this.#open || now - this.#segmentsHadTheirTurnAt < SEGMENT_WAITS_MS) return;
    this.#segmentsHadTheirTurnAt = now;
    const next = await nextSegment(this.#queue);
    if (next?.name === 'segment') await next.changePriority({ priority: LIVE_PRIORITY });
  }

  async #takeAll(): Promise<void> {
    while (this.#mayTake() && (await this.#liveJobWaits())) {
      const job = await this.#worker.take();
      if (!job) break;
      job.run().catch(unexpected);
    }
    this.#isBehind = this.#open && this.#isFull && (await this.#liveJobWaits());
  }

  #mayTake(): boolean {
    return this.#open && this.#runner.runningCount() > 0 && !this.#isFull;
  }

  get #isFull(): boolean {
    return this.#liveJobs() >= MAX_LIVE;
  }

  async #liveJobWaits(): Promise<boolean> {
    const counts = await this.#queue.getCountsPerPriority([LIVE_PRIORITY]);
    return (counts[LIVE_PRIORITY] ?? 0) > 0;
  }
}
