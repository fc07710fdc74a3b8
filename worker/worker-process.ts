import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Heartbeat } from '../shared/heartbeat.ts';
import { EventLoopMonitor } from './event-loop-monitor.ts';
import type { LeaseHolder } from './queues/lease.ts';

/** What this process reports of itself in leases and heartbeats. */
export class WorkerProcess {
  readonly workerId: string;
  readonly #host = hostname();
  readonly #startedAtMs = Date.now();
  readonly #monitor = new EventLoopMonitor();

  /** @param name `media` or `gpu-N`. */
  constructor(name: string) {
    this.workerId = `${name}-${randomUUID().slice(0, 8)}`;
  }

  /** For the leases that this process takes. */
  get holder(): LeaseHolder {
    return { workerId: this.workerId, host: this.#host, pid: process.pid };
  }

  /** For a heartbeat; the time that the event loop was blocked counts from the last call. */
  describe(): Pick<Heartbeat, 'host' | 'pid' | 'startedAtMs' | 'eventLoopBlockedMaxMs'> {
    const eventLoopBlockedMaxMs = Math.round(this.#monitor.takeMaxMs());
    return { host: this.#host, pid: process.pid, startedAtMs: this.#startedAtMs, eventLoopBlockedMaxMs };
  }
}
