import type { Config } from '../../shared/config/load.ts';
import type { LiveJob } from '../../shared/jobs/jobs.ts';
import { gpuQueue, QueueClients } from '../../shared/jobs/queues.ts';
import type { OnOffer } from '../../shared/live/direct/frame-link.ts';
import { Consumer } from '../jobs/consumer.ts';
import { JobRunner, type JobRunnerOptions } from '../jobs/job-runner.ts';
import { SegmentPlacement } from '../jobs/segment-placement.ts';
import type { WorkerTools } from '../jobs/worker-tools.ts';
import type { Blocklist } from './blocklist.ts';
import { DirectLane, type DirectLaneTools } from './direct-lane.ts';
import { DrainGate } from './drain-gate.ts';
import { ordersOfGpu } from './drain-orders.ts';
import { ExpressLane, MAX_LIVE } from './express-lane.ts';
import type { LeaseHolder } from './lease.ts';
import { LiveWakeUps } from './live-wake-ups.ts';
import { OrphanQueues, type QueueConsumer } from './orphan-queues.ts';
import { QueueSurvey } from './queue-survey.ts';
import { Relocation } from './relocation.ts';
import { WorkStealing } from './work-stealing.ts';

type GpuJobName = 'segment' | 'live';

/** Pieces of streams at once: each is some sound. */
const MAX_PIECES = 256;

export interface GpuQueuesOptions {
  readonly gpuId: number;
  readonly holder: LeaseHolder;
  readonly config: Config;
  readonly tools: Pick<WorkerTools, 'connection' | 'subscriber' | 'host' | 'log'>;
  readonly blocklist: Blocklist;
  readonly jobs: Pick<JobRunnerOptions<GpuJobName>, 'handlers' | 'onLost'>;
  /** Handles live jobs that front ends offer to this worker. */
  readonly onOffered: DirectLaneTools['handler'];
  /** Called when the GPU was taken out of service or put back, or finished a job while it is out of service. */
  readonly onChange: () => void;
}

/** Where the jobs of a GPU worker come from: its own queue, queues of lost workers, and the long queues of others. */
export class GpuQueues {
  readonly #options: GpuQueuesOptions;
  readonly #queues: QueueClients;
  readonly #placement: SegmentPlacement;
  readonly #wakeUps: LiveWakeUps;
  readonly #runners = new Set<JobRunner<GpuJobName>>();
  readonly #lanes = new Set<ExpressLane<GpuJobName>>();
  readonly #gate: DrainGate;
  readonly #direct: DirectLane;
  #orphans: OrphanQueues | undefined;
  #stealing: WorkStealing | undefined;
  #stopping = false;

  constructor(options: GpuQueuesOptions) {
    this.#options = options;
    const { gpuId, config, tools, blocklist, onChange } = options;
    const { connection, subscriber, log } = tools;
    this.#queues = new QueueClients(connection);
    this.#placement = new SegmentPlacement(connection, config);
    this.#wakeUps = new LiveWakeUps(subscriber);
    const consume = () => this.#consume(gpuQueue(gpuId));
    this.#gate = new DrainGate({ orders: ordersOfGpu(gpuId, tools, blocklist), log, consume, onChange });
    this.#direct = new DirectLane({
      ...{ handler: options.onOffered, log },
      mayTake: (job) => this.#mayTake(job),
      onEnd: () => this.#jobEnded(),
    });
  }

  /** True while jobs are taken. */
  get isOpen(): boolean {
    return this.#gate.isOpen && !this.#stopping;
  }

  /** Jobs that run now, wherever they came from. */
  get runningJobs(): number {
    return [...this.#runners].reduce((sum, runner) => sum + runner.runningCount(), this.#direct.runningCount);
  }

  /** A request that would overtake those which wait in a queue has to wait there, too. */
  #mayTake({ streamId }: LiveJob): boolean {
    if (!this.isOpen) return false;
    if (streamId !== undefined) return this.#liveJobs < MAX_PIECES;
    return this.#liveJobs < MAX_LIVE && ![...this.#lanes].some(({ isBehind }) => isBehind);
  }

  get #liveJobs(): number {
    return [...this.#runners].reduce((sum, runner) => sum + runner.runningCount('live'), this.#direct.runningCount);
  }

  /** Takes a live job that a front end offers, as long as jobs are taken and there is room. */
  readonly offer: OnOffer = (job, take) => this.#direct.offer(job, take);

  /** Begins to take jobs. */
  async start(): Promise<void> {
    const { gpuId, holder, config, tools } = this.#options;
    const { connection: redis, log } = tools;
    await this.#wakeUps.listen();
    await this.#gate.start();
    const consume = (queueName: string) => this.#consume(queueName);
    const survey = new QueueSurvey(redis);
    const shared = { redis, queues: this.#queues, survey, ownGpuId: gpuId, log };
    this.#orphans = new OrphanQueues({ ...shared, holder, consume, isOpen: () => this.isOpen });
    this.#stealing = new WorkStealing({
      ...{ ...shared, ownWorkerId: holder.workerId },
      runnerFor: (queueName) => this.#watched(new JobRunner(this.#runnerOptions(queueName))),
      isIdle: () => this.isOpen && this.runningJobs === 0,
      sharing: config.gpus.allow_multi_gpu_models,
    });
  }

  /** Stops taking jobs, lets running ones finish for `patienceMs`, then hands them back to their queues. */
  async stop(patienceMs: number): Promise<void> {
    this.#stopping = true;
    const sources = [this.#gate, this.#orphans, this.#stealing].map(async (source) => await source?.stop(patienceMs));
    await Promise.all([...sources, this.#direct.drain(patienceMs)]);
    await this.#queues.close();
  }

  #consume(queueName: string): QueueConsumer {
    const { connection, log } = this.#options.tools;
    const queue = this.#queues.named(queueName);
    const ordinary = new Consumer({ ...this.#runnerOptions(queueName), queue });
    const { runner } = ordinary;
    const liveJobs = () => this.#liveJobs;
    const express = new ExpressLane({ queue, runner, liveJobs, connection, wakeUps: this.#wakeUps, log });
    this.#lanes.add(express);
    this.#watched(runner);
    return {
      drain: async (patienceMs) => {
        await Promise.all([ordinary.drain(patienceMs), express.drain(patienceMs)]);
        this.#runners.delete(runner);
        this.#lanes.delete(express);
      },
    };
  }

  #runnerOptions(queueName: string): JobRunnerOptions<GpuJobName> {
    const { gpuId, jobs, tools } = this.#options;
    return {
      queueName,
      ...jobs,
      connection: tools.connection,
      log: tools.log,
      relocation: new Relocation(gpuId, this.#placement, this.#queues),
    };
  }

  #watched(runner: JobRunner<GpuJobName>): JobRunner<GpuJobName> {
    this.#runners.add(runner);
    runner.onChange(() => this.#jobEnded());
    return runner;
  }

  #jobEnded(): void {
    for (const lane of this.#lanes) lane.roomMayBe();
    if (!this.isOpen) this.#options.onChange();
  }
}
