import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { JobName } from '../../shared/jobs.ts';
import { type Repeated, type RepeatLog, repeat } from '../../shared/process/repeat.ts';
import { unexpected } from '../../shared/process/unheard.ts';
import { PRIORITY } from '../../shared/queues.ts';
import type { JobRunner } from '../jobs/job-runner.ts';
import { HandFedWorker } from './hand-fed-worker.ts';
import type { LiveWakeUps } from './live-wake-ups.ts';

export interface ExpressLaneOptions<N extends JobName> {
  readonly queue: Queue;
  /** The runner of the ordinary lane, which takes one job at a time. */
  readonly runner: JobRunner<N | 'live'>;
  readonly connection: Redis;
  readonly wakeUps: LiveWakeUps;
  readonly log: RepeatLog;
}

/** Live jobs at once: their frames share the runs of the network. The payload of each may have 59 MB. */
const MAX_LIVE = 32;
/** A live job waits this long at most when its wake-up was lost. */
const LOOK_EVERY_MS = 250;

/**
 * Picks live jobs up while the ordinary lane of the queue is busy; an idle ordinary lane takes them itself, at once.
 * The express lane looks for live jobs when it is woken, when a job starts or ends, and every so often while a job
 * runs, so that no live job is left behind.
 *
 * It looks at the next job before it takes one, since that could be a second segment. A segment that is taken all the
 * same, because the queue changed in between, is run like any other.
 */
export class ExpressLane<N extends JobName> {
  readonly #runner: JobRunner<N | 'live'>;
  readonly #worker: HandFedWorker<N | 'live'>;
  readonly #queue: Queue;
  readonly #looking: Repeated;
  readonly #stopListening: () => void;
  #open = true;

  constructor({ queue, runner, connection, wakeUps, log }: ExpressLaneOptions<N>) {
    this.#runner = runner;
    this.#queue = queue;
    this.#worker = new HandFedWorker(queue.name, runner, connection);
    const name = `look for live jobs on ${queue.name}`;
    this.#looking = repeat(() => this.#takeAll(), { name, everyMs: LOOK_EVERY_MS, log });
    const look = () => this.#looking.now();
    runner.onChange(look);
    this.#stopListening = wakeUps.on(queue.name, look);
  }

  /** Stops taking jobs, lets running ones finish for `patienceMs`, then hands them back to the queue. */
  async drain(patienceMs: number): Promise<void> {
    this.#open = false;
    this.#stopListening();
    await this.#looking.stop();
    await this.#worker.drain(patienceMs);
  }

  async #takeAll(): Promise<void> {
    while (this.#mayTake() && (await this.#liveJobWaits())) {
      const job = await this.#worker.take();
      if (!job) return;
      job.run().catch(unexpected);
    }
  }

  #mayTake(): boolean {
    return this.#open && this.#runner.runningCount() > 0 && this.#runner.runningCount('live') < MAX_LIVE;
  }

  async #liveJobWaits(): Promise<boolean> {
    const counts = await this.#queue.getCountsPerPriority([PRIORITY.live]);
    return (counts[PRIORITY.live] ?? 0) > 0;
  }
}
