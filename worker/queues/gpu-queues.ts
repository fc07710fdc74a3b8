import type { Config } from '../../shared/config/load.ts';
import { GpuDrains } from '../../shared/gpu-drains.ts';
import { gpuQueue, QueueClients } from '../../shared/queues.ts';
import { Consumer } from '../jobs/consumer.ts';
import { JobRunner, type JobRunnerOptions } from '../jobs/job-runner.ts';
import { SegmentPlacement } from '../jobs/segment-placement.ts';
import type { WorkerTools } from '../jobs/worker-tools.ts';
import type { Blocklist } from './blocklist.ts';
import { DrainGate } from './drain-gate.ts';
import { ExpressLane } from './express-lane.ts';
import type { LeaseHolder } from './lease.ts';
import { LiveWakeUps } from './live-wake-ups.ts';
import { OrphanQueues, type QueueConsumer } from './orphan-queues.ts';
import { QueueSurvey } from './queue-survey.ts';
import { Relocation } from './relocation.ts';
import { WorkStealing } from './work-stealing.ts';

type GpuJobName = 'segment' | 'live';

export interface GpuQueuesOptions {
  readonly gpuId: number;
  readonly holder: LeaseHolder;
  readonly config: Config;
  readonly tools: Pick<WorkerTools, 'connection' | 'subscriber' | 'log'>;
  readonly blocklist: Blocklist;
  readonly jobs: Pick<JobRunnerOptions<GpuJobName>, 'handlers' | 'onLost'>;
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
  readonly #gate: DrainGate;
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
    const drains = new GpuDrains(connection);
    const consume = () => this.#consume(gpuQueue(gpuId));
    this.#gate = new DrainGate({ gpuId, drains, subscriber, blocklist, log, consume, onChange });
  }

  /** True while jobs are taken. */
  get isOpen(): boolean {
    return this.#gate.isOpen && !this.#stopping;
  }

  /** Jobs that run now, wherever they came from. */
  get runningJobs(): number {
    return [...this.#runners].reduce((sum, runner) => sum + runner.runningCount(), 0);
  }

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
    await Promise.all(
      [this.#gate, this.#orphans, this.#stealing].map(async (source) => await source?.stop(patienceMs)),
    );
    await this.#queues.close();
  }

  #consume(queueName: string): QueueConsumer {
    const { connection, log } = this.#options.tools;
    const queue = this.#queues.named(queueName);
    const ordinary = new Consumer({ ...this.#runnerOptions(queueName), queue });
    const { runner } = ordinary;
    const express = new ExpressLane({ queue, runner, connection, wakeUps: this.#wakeUps, log });
    this.#watched(runner);
    return {
      drain: async (patienceMs) => {
        await Promise.all([ordinary.drain(patienceMs), express.drain(patienceMs)]);
        this.#runners.delete(runner);
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
    runner.onChange(() => {
      if (!this.isOpen) this.#options.onChange();
    });
    return runner;
  }
}
