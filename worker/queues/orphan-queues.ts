import type { Redis } from 'ioredis';
import { backlogOf, gpuQueue, type QueueClients } from '../../shared/jobs/queues.ts';
import type { Logger } from '../../shared/process/log.ts';
import { type Repeated, repeat } from '../../shared/process/repeat.ts';
import { Lease, type LeaseHolder } from './lease.ts';
import type { QueueSurvey } from './queue-survey.ts';

/** Consumes a queue until it is told to stop. */
export interface QueueConsumer {
  drain(patienceMs: number): Promise<void>;
}

export interface OrphanQueueTools {
  readonly redis: Redis;
  readonly queues: QueueClients;
  readonly survey: QueueSurvey;
  readonly ownGpuId: number;
  readonly holder: LeaseHolder;
  readonly log: Logger;
  readonly consume: (queueName: string) => QueueConsumer;
  /** False while this GPU is out of service itself. */
  readonly isOpen: () => boolean;
}

interface Adopted {
  readonly lease: Lease;
  readonly consumer: QueueConsumer;
}

const LOOK_EVERY_MS = 2000;
/** How long a running segment may still take when the queue's own worker is back. */
const HAND_OVER_MS = 5000;

/**
 * Stands in for GPU workers that are gone: this GPU consumes a queue that has work and no lease, until the queue is
 * empty or its own worker comes back and claims it. So no render waits for a machine that never returns.
 */
export class OrphanQueues {
  readonly #tools: OrphanQueueTools;
  readonly #adopted = new Map<number, Adopted>();
  readonly #looking: Repeated;

  constructor(tools: OrphanQueueTools) {
    this.#tools = tools;
    this.#looking = repeat(() => this.#look(), {
      ...{ name: 'look for queues without a worker', everyMs: LOOK_EVERY_MS, log: tools.log },
    });
  }

  /** Stops consuming the adopted queues and gives their leases back. */
  async stop(patienceMs: number): Promise<void> {
    await this.#looking.stop();
    await Promise.all([...this.#adopted.keys()].map((gpuId) => this.#giveBack(gpuId, patienceMs)));
  }

  async #look(): Promise<void> {
    const { queues, survey, ownGpuId, isOpen } = this.#tools;
    for (const [gpuId, { lease }] of [...this.#adopted]) {
      const leave = !isOpen() || (await backlogOf(queues.gpu(gpuId))) === 0;
      if (leave || (await lease.isClaimed())) await this.#giveBack(gpuId, HAND_OVER_MS);
    }
    if (!isOpen()) return;
    for (const gpuId of (await survey.read()).orphans) {
      if (gpuId !== ownGpuId && !this.#adopted.has(gpuId)) await this.#tryAdopt(gpuId);
    }
  }

  async #tryAdopt(gpuId: number): Promise<void> {
    const { redis, holder, log, consume } = this.#tools;
    const lease = new Lease(redis, gpuQueue(gpuId), holder, log);
    const taken = await lease.takeAbandoned(() => {
      this.#giveBack(gpuId, 0).catch((error: Error) => {
        log.warn({ gpu: gpuId, reason: error.message }, 'the lease of an adopted queue could not be given back');
      });
    });
    if (!taken) return;
    log.warn({ gpu: gpuId }, 'queue has no worker; this worker consumes it');
    this.#adopted.set(gpuId, { lease, consumer: consume(gpuQueue(gpuId)) });
  }

  async #giveBack(gpuId: number, patienceMs: number): Promise<void> {
    const adopted = this.#adopted.get(gpuId);
    if (!adopted) return;
    this.#adopted.delete(gpuId);
    await adopted.consumer.drain(patienceMs);
    await adopted.lease.release();
    this.#tools.log.info({ gpu: gpuId }, 'queue given back');
  }
}
