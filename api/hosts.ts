import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { FarmError } from '../shared/errors/farm-error.ts';
import { backlogOf, GPU_ROSTER_KEY, type QueueClients } from '../shared/jobs/queues.ts';
import { afterwards, untilKnown } from '../shared/redis/outcome.ts';
import type { HostList, HostView } from '../shared/views/host-view.ts';
import { GpuNumbers } from '../shared/workers/gpu-numbers.ts';
import { heartbeatAges, readHeartbeats } from '../shared/workers/heartbeat.ts';
import { HostDrains, type HostOrder } from '../shared/workers/host-drains.ts';
import { viewHosts } from './host-view.ts';
import type { AuditLog } from './logs/audit-log.ts';

/** Workers hear of an order at once, or else when they next look. */
const FOLLOWS_WITHIN_MS = 2500;
const LOOK_EVERY_MS = 50;

/** The machines of the farm as an operator sees them, and the orders that he can give them. */
export class HostService {
  readonly #redis: Redis;
  readonly #queues: QueueClients;
  readonly #drains: HostDrains;
  readonly #numbers: GpuNumbers;
  readonly #audit: AuditLog;

  constructor(redis: Redis, queues: QueueClients, audit: AuditLog) {
    this.#redis = redis;
    this.#queues = queues;
    this.#audit = audit;
    this.#drains = new HostDrains(redis);
    this.#numbers = new GpuNumbers(redis);
  }

  /** Hosts with a living worker, a number of a GPU, or an order to drain. */
  async list(): Promise<HostList> {
    const [heartbeats, numbers, drained] = await Promise.all([
      readHeartbeats(this.#redis),
      this.#numbers.all(),
      this.#drains.all(),
    ]);
    const ages = await heartbeatAges(
      this.#redis,
      heartbeats.map(({ workerId }) => workerId),
    );
    const hosts = viewHosts({ heartbeats, ages, numbers, drained });
    return { hosts, versions: [...new Set(hosts.flatMap(({ versions }) => versions))].sort() };
  }

  /**
   * Gives an order, and waits a moment for the workers to follow it.
   * @throws FarmError `farm_host_unknown`, `outcome_unknown`.
   */
  async order(name: string, order: HostOrder): Promise<HostView> {
    return await this.#audit.noting(`host.${order}`, { host: name }, async () => {
      const before = await this.#view(name);
      const what = `host ${name} was to ${order}`;
      // To give the same order again changes nothing.
      await untilKnown(what, () => this.#drains.give(name, order));
      return await afterwards(what, () => this.#followed(before, order));
    });
  }

  /**
   * Frees the numbers of a host that is gone for good, and forgets its order to drain.
   * @throws FarmError `farm_host_unknown`; `farm_host_in_use` while a worker of it lives.
   */
  async forget(name: string): Promise<void> {
    await this.#audit.noting('host.forget', { host: name }, async () => {
      const { state, gpus } = await this.#view(name);
      if (state !== 'gone') throw new FarmError('farm_host_in_use', `Host ${name} has living workers`);
      for (const { gpu } of gpus) {
        if (!(await this.#numbers.free(gpu))) throw new FarmError('farm_host_in_use', `A worker serves GPU ${gpu}`);
        // A queue with work must be found by others.
        if ((await backlogOf(this.#queues.gpu(gpu))) === 0) await this.#redis.srem(GPU_ROSTER_KEY, gpu);
      }
      await this.#drains.give(name, 'undrain');
    });
  }

  async #view(name: string): Promise<HostView> {
    const { hosts } = await this.list();
    const found = hosts.find((host) => host.name === name);
    if (found) return found;
    const known = hosts.map((host) => host.name).join(', ') || 'none';
    throw new FarmError('farm_host_unknown', `There is no host ${name}; the farm has ${known}`);
  }

  /** The host as soon as all its workers have followed the order, or after a moment. */
  async #followed(before: HostView, order: HostOrder): Promise<HostView> {
    const deadlineMs = performance.now() + FOLLOWS_WITHIN_MS;
    for (;;) {
      // Of one that is gone, the order may have been all that was known.
      const view = (await this.list()).hosts.find(({ name }) => name === before.name) ?? before;
      const isOut = view.gpus.every(({ state }) => state !== 'ready') && view.state !== 'ready';
      const followed = order === 'drain' ? isOut : view.state === 'ready';
      if (followed || view.state === 'gone' || performance.now() > deadlineMs) return view;
      await delay(LOOK_EVERY_MS);
    }
  }
}
