import type { Redis } from 'ioredis';
import { GpuDrains } from '../../shared/gpu-drains.ts';
import { type Heartbeat, readHeartbeats, workerOf } from '../../shared/heartbeat.ts';
import { jobSchema, type SegmentJob } from '../../shared/jobs.ts';
import { costOn, isWilling, isWorthStealing } from '../../shared/placement.ts';
import type { Logger } from '../../shared/process/log.ts';
import { type Repeated, repeat } from '../../shared/process/repeat.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { enrolledGpus, gpuQueue, type QueueClients } from '../../shared/queues.ts';
import type { JobRunner } from '../jobs/job-runner.ts';
import { HandFedWorker, type TakenJob } from './hand-fed-worker.ts';

export interface WorkStealingTools {
  readonly redis: Redis;
  readonly ownGpuId: number;
  readonly log: Logger;
  readonly queues: QueueClients;
  /** Runs the jobs of another GPU's queue. */
  readonly runnerFor: (queueName: string) => JobRunner<'segment' | 'live'>;
  /** True while this GPU has nothing to do and may take work. */
  readonly isIdle: () => boolean;
  /** False: the segments of a render stay on the GPU that they were given to, as long as it works. */
  readonly sharing: boolean;
}

/** Another GPU's queue, as seen by a GPU that may take work from it. */
interface Victim {
  readonly gpuId: number;
  readonly waiting: number;
  readonly active: number;
  /** True when its own worker takes no jobs from it. */
  readonly abandoned: boolean;
}

const LOOK_EVERY_MS = 1000;

/**
 * Gives an idle GPU work: one job at a time from the longest queue of the other GPUs, and first from queues whose own
 * worker takes no jobs. The job stays on its queue, and only runs on this GPU, as the receipt says.
 */
export class WorkStealing {
  readonly #tools: WorkStealingTools;
  readonly #drains: GpuDrains;
  readonly #lanes = new Map<number, HandFedWorker<'segment' | 'live'>>();
  readonly #working: Repeated;
  #taking: Promise<TakenJob | undefined> = Promise.resolve(undefined);
  #open = true;

  constructor(tools: WorkStealingTools) {
    this.#tools = tools;
    this.#drains = new GpuDrains(tools.redis);
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
    const heartbeats = await readHeartbeats(this.#tools.redis);
    const own = workerOf(heartbeats, this.#tools.ownGpuId);
    if (!own) return undefined;
    for (const victim of await this.#victims(heartbeats)) {
      // Jobs that its dead worker had begun come free only if another worker looks for stalled jobs.
      if (victim.abandoned) this.#lane(victim.gpuId);
      const suits = (data: unknown) => this.#suits(data, victim, own, heartbeats);
      if (!suits(await this.#nextOn(victim.gpuId)) || !this.#mayTake()) continue;
      const job = await this.#lane(victim.gpuId).take();
      // Another worker took the job that was chosen, and the next one may not suit this GPU.
      if (job && this.#open && suits(job.data)) {
        this.#tools.log.info({ from: gpuQueue(victim.gpuId), waiting: victim.waiting }, 'taking work of another GPU');
        return job;
      }
      await job?.handBack();
    }
    return undefined;
  }

  /** Queues with something waiting, or begun by a worker that is gone: abandoned ones first, then the longest. */
  async #victims(heartbeats: readonly Heartbeat[]): Promise<Victim[]> {
    const { redis, ownGpuId, queues } = this.#tools;
    const drained = await this.#drains.all();
    const others = (await enrolledGpus(redis)).filter((gpuId) => gpuId !== ownGpuId);
    const victims = await Promise.all(
      others.map(async (gpuId) => {
        const counts = await queues.gpu(gpuId).getJobCounts('waiting', 'prioritized', 'delayed', 'active');
        const { waiting = 0, prioritized = 0, delayed = 0, active = 0 } = counts;
        const abandoned = drained.has(gpuId) || !workerOf(heartbeats, gpuId);
        // Jobs that wait for their next try become available only when a worker takes from the queue.
        return { gpuId, waiting: waiting + prioritized + (abandoned ? delayed : 0), active, abandoned };
      }),
    );
    return victims
      .filter(({ waiting, active, abandoned }) => waiting > 0 || (abandoned && active > 0))
      .sort((a, b) => Number(b.abandoned) - Number(a.abandoned) || b.waiting - a.waiting);
  }

  /** What the next job of a queue is. */
  async #nextOn(gpuId: number): Promise<unknown> {
    const queue = this.#tools.queues.gpu(gpuId);
    const first = [await queue.getWaiting(0, 0), await queue.getPrioritized(0, 0), await queue.getDelayed(0, 0)];
    return first.flat()[0]?.data;
  }

  #suits(data: unknown, victim: Victim, own: Heartbeat, heartbeats: readonly Heartbeat[]): boolean {
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

  #lane(gpuId: number): HandFedWorker<'segment' | 'live'> {
    const known = this.#lanes.get(gpuId);
    if (known) return known;
    const queueName = gpuQueue(gpuId);
    const lane = new HandFedWorker(queueName, this.#tools.runnerFor(queueName), this.#tools.redis);
    // The worker of a drained queue takes nothing from it.
    lane.watchForStalledJobs();
    this.#lanes.set(gpuId, lane);
    return lane;
  }
}
