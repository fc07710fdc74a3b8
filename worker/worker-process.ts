import { randomUUID } from 'node:crypto';
import { EventLoopMonitor } from '../shared/process/event-loop-monitor.ts';
import { ownIdentity } from '../shared/process/process-life.ts';
import type { Heartbeat } from '../shared/workers/heartbeat.ts';
import type { OwnHost } from './own-host.ts';
import type { LeaseHolder } from './queues/lease.ts';

/** What this process reports of itself in leases and heartbeats. */
export class WorkerProcess {
  readonly workerId: string;
  readonly #host: Pick<OwnHost, 'describe'>;
  readonly #identity = ownIdentity();
  readonly #startedAtMs = Date.now();
  readonly #monitor = new EventLoopMonitor();

  /** @param name `media` or `gpu-N`. */
  constructor(name: string, host: Pick<OwnHost, 'describe'>) {
    this.#host = host;
    this.workerId = `${name}-${randomUUID().slice(0, 8)}`;
  }

  /** For the leases that this process takes. */
  get holder(): LeaseHolder {
    return { workerId: this.workerId, ...this.#identity };
  }

  /** For a heartbeat; the time that the event loop was blocked counts from the last call. */
  describe(): Pick<Heartbeat, 'host' | 'onHost' | 'pid' | 'startedAtMs' | 'eventLoopBlockedMaxMs'> {
    const eventLoopBlockedMaxMs = Math.round(this.#monitor.takeMaxMs());
    const { host, pid } = this.#identity;
    return { host, onHost: this.#host.describe(), pid, startedAtMs: this.#startedAtMs, eventLoopBlockedMaxMs };
  }
}
