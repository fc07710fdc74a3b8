import type { Redis } from 'ioredis';
import { jobSchema, type SegmentJob } from '../../shared/jobs/jobs.ts';
import { gpuQueue, type QueueClients } from '../../shared/jobs/queues.ts';
import type { Logger } from '../../shared/process/log.ts';
import { type Repeated, repeat } from '../../shared/process/repeat.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { type Heartbeat, readHeartbeatsOf, workerOf } from '../../shared/workers/heartbeat.ts';
import { costOn, isWilling, isWorthStealing } from '../../shared/workers/placement.ts';
import type { JobRunner } from '../jobs/job-runner.ts';
import { HandFedWorker, type TakenJob } from './hand-fed-worker.ts';
import type { BusyQueue, QueueSurvey } from './queue-survey.ts';

export interface WorkStealingTools {
  readonly redis: Redis;
  readonly ownGpuId: number;
  readonly log: Logger;
  readonly queues: QueueClients;
  readonly survey: QueueSurvey;
  readonly ownWorkerId: string;
  /** Runs the jobs of another GPU's queue. */
  readonly runnerFor: (queueName: string) => JobRunner<'segment' | 'live'>;
  /** True while this GPU has nothing to do and may take work. */
  readonly isIdle: () => boolean;
  /** False: the segments of a render stay on the GPU that they were given to, as long as it works. */
  readonly sharing: boolean;
}

const LOOK_EVERY_MS = 1000;
/** Queues that a GPU looks into at a time: the first ones of the survey, and some that most others do not look into. */
const LOOKED_INTO = { first: 4, others: 4 } as const;
/** Afterwards other queues are among them. */
const OTHERS_EVERY_MS = 5000;
/** Queues that are kept open to take from: as many as are looked into. */
const MOST_LANES = LOOKED_INTO.first + LOOKED_INTO.others;

/**
 * Gives an idle GPU work: one job at a time from the longest queue of the other GPUs, and first from queues whose own
 * worker takes no jobs. The job stays on its queue, and only runs on this GPU, as the receipt says.
 */
export class WorkStealing {
  readonly #tools: WorkStealingTools;
  readonly #lanes = new Map<number, HandFedWorker<'segment' | 'live'>>();
  readonly #runners = new Map<number, JobRunner<'segment' | 'live'>>();
  readonly #working: Repeated;
  #taking: Promise<TakenJob | undefined> = Promise.resolve(undefined);
  #open = true;

  constructor(tools: WorkStealingTools) {
    this.#tools = tools;
    this.#working = repeat(() => this.#workWhileIdle(), {
      ...{ name: 'look for work of other GPUs', everyMs: LOOK_EVERY_MS, log: tools.log },
    });
  }

  /** Takes no more jobs, lets a running job finish for `patienceMs`, then hands it back. */
  async stop(patienceMs: number): Promise<void> {
    this.#open = false;
    const stopped = this.#working.stop();
    // A job that is being taken is handed back before its lane closes.
    await this.#taking.catch(ignored('that a job cannot be taken is logged where it is taken'));
    await Promise.all([...this.#lanes.values()].map((lane) => lane.drain(patienceMs)));
    await stopped;
  }

  async #workWhileIdle(): Promise<void> {
    while (this.#mayTake()) {
      this.#taking = this.#takeOne();
      const job = await this.#taking;
      if (!job) return;
      await job.run();
    }
  }

  #mayTake(): boolean {
    return this.#open && this.#tools.isIdle();
  }

  async #takeOne(): Promise<TakenJob | undefined> {
    const { redis, survey, ownGpuId, ownWorkerId } = this.#tools;
    const found = (await survey.read()).busy.filter((queue) => queue.gpuId !== ownGpuId && this.#mayGive(queue));
    if (found.length === 0) return undefined;
    const victims = lookedInto(found, ownGpuId);
    const workerIds = victims.flatMap(({ workerId }) => workerId ?? []);
    const heartbeats = await readHeartbeatsOf(redis, [ownWorkerId, ...workerIds]);
    const own = workerOf(heartbeats, ownGpuId);
    if (!own) return undefined;
    for (const seen of victims) {
      // Jobs that its dead worker had begun come free only if another worker looks for stalled jobs.
      if (seen.abandoned) await this.#lane(seen.gpuId);
      const victim = await this.#asItIsNow(seen);
      const suits = (data: unknown) => this.#suits(data, victim, own, heartbeats);
      if (!suits(await this.#nextOn(victim.gpuId)) || !this.#mayTake()) continue;
      const job = await (await this.#lane(victim.gpuId)).take();
      // Another worker took the job that was chosen, and the next one may not suit this GPU.
      if (job && this.#open && suits(job.data)) {
        this.#tools.log.info({ from: gpuQueue(victim.gpuId), waiting: victim.waiting }, 'taking work of another GPU');
        return job;
      }
      await job?.handBack();
    }
    return undefined;
  }

  /**
   * Whether it is worth to look into a queue. A job that waits where none runs is about to be taken by the queue's own
   * worker: live jobs come so, and all idle GPUs of a large farm would look at each of them.
   */
  #mayGive({ abandoned, waiting, active }: BusyQueue): boolean {
    return abandoned || (this.#tools.sharing && waiting > 0 && active > 0);
  }

  /** The survey may be a second old. */
  async #asItIsNow(seen: BusyQueue): Promise<BusyQueue> {
    const counts = await this.#tools.queues.gpu(seen.gpuId).getJobCounts('waiting', 'prioritized', 'delayed', 'active');
    const { waiting = 0, prioritized = 0, delayed = 0, active = 0 } = counts;
    return { ...seen, waiting: waiting + prioritized + (seen.abandoned ? delayed : 0), active };
  }

  /** What the next job of a queue is. */
  async #nextOn(gpuId: number): Promise<unknown> {
    const queue = this.#tools.queues.gpu(gpuId);
    const first = [await queue.getWaiting(0, 0), await queue.getPrioritized(0, 0), await queue.getDelayed(0, 0)];
    return first.flat()[0]?.data;
  }

  #suits(data: unknown, victim: BusyQueue, own: Heartbeat, heartbeats: readonly Heartbeat[]): boolean {
    const { data: job } = jobSchema.safeParse(data);
    if ((job?.name !== 'segment' && job?.name !== 'live') || !isWilling(own, job.modelId)) return false;
    if (victim.abandoned) return true;
    if (job.name === 'live' || !this.#tools.sharing || this.#failedAt(job)) return false;
    const idle = costOn(heartbeats, this.#tools.ownGpuId, job.modelId);
    const there = costOn(heartbeats, victim.gpuId, job.modelId);
    return isWorthStealing(idle, { ...victim, frameMs: there.frameMs }, job.frames.end - job.frames.start);
  }

  #failedAt({ moved }: SegmentJob): boolean {
    return moved?.failedOn.includes(this.#tools.ownGpuId) ?? false;
  }

  /** For taking from another queue. The one that was not needed for longest is closed when there are too many. */
  async #lane(gpuId: number): Promise<HandFedWorker<'segment' | 'live'>> {
    const known = this.#lanes.get(gpuId);
    this.#lanes.delete(gpuId);
    const lane = known ?? this.#openLane(gpuId);
    this.#lanes.set(gpuId, lane);
    const [oldest] = this.#lanes;
    // One job is taken at a time, and it has ended: no lane runs any now.
    if (oldest && this.#lanes.size > MOST_LANES) {
      this.#lanes.delete(oldest[0]);
      await oldest[1].drain(0);
    }
    return lane;
  }

  #openLane(gpuId: number): HandFedWorker<'segment' | 'live'> {
    const queueName = gpuQueue(gpuId);
    const runner = this.#runners.get(gpuId) ?? this.#tools.runnerFor(queueName);
    this.#runners.set(gpuId, runner);
    const lane = new HandFedWorker(queueName, runner, this.#tools.redis);
    // The worker of a drained queue takes nothing from it.
    lane.watchForStalledJobs();
    return lane;
  }
}

/**
 * Of the busy queues those that this GPU looks into: the first ones, as all do, and others that depend on its number and
 * change every few seconds, so that each is looked into by some.
 */
function lookedInto(found: readonly BusyQueue[], ownGpuId: number): BusyQueue[] {
  const first = found.slice(0, LOOKED_INTO.first);
  const rest = found.slice(LOOKED_INTO.first);
  const start = (ownGpuId + Math.floor(Date.now() / OTHERS_EVERY_MS)) * LOOKED_INTO.others;
  const others = Array.from({ length: Math.min(LOOKED_INTO.others, rest.length) }, (_, place) => {
    return rest[(start + place) % rest.length] as BusyQueue;
  });
  return [...first, ...others];
}
