import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { JobName } from '../../shared/jobs.ts';
import { openQueue, PRIORITY } from '../../shared/queues.ts';
import type { JobRunner } from '../jobs/job-runner.ts';
import { HandFedWorker } from './hand-fed-worker.ts';
import type { LiveWakeUps } from './live-wake-ups.ts';

export interface ExpressLaneOptions<N extends JobName> {
  readonly queueName: string;
  /** The runner of the ordinary lane, which takes one job at a time. */
  readonly runner: JobRunner<N | 'live'>;
  readonly connection: Redis;
  readonly wakeUps: LiveWakeUps;
}

/** Live jobs at once: the frames of all of them share the runs of the network. Each may bring 59 MB along. */
const MAX_LIVE = 32;
/** How long a live job waits at most whose wake-up was lost. */
const LOOK_EVERY_MS = 250;

/**
 * Picks live jobs up while the ordinary lane of the queue is busy; when it is idle it takes them itself, at once. Looks
 * when it is woken, when a job starts or ends, and now and then while anything runs, so no live job is left behind.
 *
 * It looks before it takes: taking blindly could bring a second segment. One that slips in is run like any other.
 */
export class ExpressLane<N extends JobName> {
  readonly #runner: JobRunner<N | 'live'>;
  readonly #worker: HandFedWorker<N | 'live'>;
  readonly #queue: Queue;
  readonly #timer: NodeJS.Timeout;
  readonly #stopListening: () => void;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #open = true;

  constructor({ queueName, runner, connection, wakeUps }: ExpressLaneOptions<N>) {
    this.#runner = runner;
    this.#queue = openQueue(queueName, connection);
    this.#worker = new HandFedWorker(queueName, runner, connection);
    const look = () => this.#look();
    runner.onChange(look);
    this.#stopListening = wakeUps.on(queueName, look);
    this.#timer = setInterval(look, LOOK_EVERY_MS);
  }

  /** Stops taking jobs, lets running ones finish for `patienceMs`, then hands them back to the queue. */
  async drain(patienceMs: number): Promise<void> {
    this.#open = false;
    this.#stopListening();
    clearInterval(this.#timer);
    await this.#looking;
    await this.#worker.drain(patienceMs);
    await this.#queue.close();
  }

  #look(): void {
    this.#lookAgain = true;
    if (this.#looking || !this.#mayTake()) return;
    this.#looking = this.#takeAll()
      .catch(() => {})
      .finally(() => {
        this.#looking = undefined;
      });
  }

  async #takeAll(): Promise<void> {
    while (this.#lookAgain) {
      this.#lookAgain = false;
      while (this.#mayTake() && (await this.#liveJobWaits())) {
        const job = await this.#worker.take();
        if (!job) break;
        void job.run();
      }
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
