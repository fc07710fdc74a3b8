import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import type { Config } from '../shared/config/load.ts';
import { type Repeated, type RepeatLog, repeat } from '../shared/process/repeat.ts';
import { FARM_VERSION } from '../shared/version.ts';
import type { WorkerHost } from '../shared/workers/heartbeat.ts';

const COMPARE_EVERY_MS = 30_000;
/** The comparison with the shortest way to Redis and back says most. */
const COMPARISONS = 3;
const MARK_LENGTH = 12;

/** The machine of this process: its name and tags, and how far its clock is from that of Redis. */
export class OwnHost {
  readonly name: string;
  readonly tags: readonly string[];
  readonly machine = machineMark();
  readonly #redis: Redis;
  readonly #comparing: Repeated;
  #clockOffsetMs: number | null = null;

  /** @param tags beside those of the configuration. */
  constructor({ host }: Config, tags: readonly string[], redis: Redis, log: RepeatLog) {
    this.name = host.name;
    this.tags = [...new Set([...host.tags, ...tags])];
    this.#redis = redis;
    this.#comparing = repeat(() => this.#compareClocks(), {
      ...{ name: 'compare the clock with that of Redis', everyMs: COMPARE_EVERY_MS, log },
      ...({ first: 'now', keepsProcessAlive: false } as const),
    });
  }

  /** The tags of these that this host does not have. */
  lacks(needs: readonly string[]): string[] {
    return needs.filter((tag) => !this.tags.includes(tag));
  }

  /** For a heartbeat. */
  describe(): WorkerHost {
    const { name, machine, tags } = this;
    return { name, machine, version: FARM_VERSION, tags: [...tags], clockOffsetMs: this.#clockOffsetMs };
  }

  async stop(): Promise<void> {
    await this.#comparing.stop();
  }

  async #compareClocks(): Promise<void> {
    let best: { readonly offsetMs: number; readonly wayMs: number } | undefined;
    for (let time = 0; time < COMPARISONS; time++) {
      const sentAtMs = Date.now();
      const [seconds, micros] = await this.#redis.time();
      const gotAtMs = Date.now();
      const redisMs = Number(seconds) * 1000 + Number(micros) / 1000;
      const wayMs = gotAtMs - sentAtMs;
      if (!best || wayMs < best.wayMs) best = { offsetMs: (sentAtMs + gotAtMs) / 2 - redisMs, wayMs };
    }
    this.#clockOffsetMs = best ? Math.round(best.offsetMs) : null;
  }
}

/** Of this installation of the system; null where it has no id, as in most containers. */
function machineMark(): string | null {
  try {
    const id = readFileSync('/etc/machine-id', 'utf8').trim();
    return id === '' ? null : createHash('sha256').update(id).digest('hex').slice(0, MARK_LENGTH);
  } catch {
    return null; // Not Linux, or a container without one.
  }
}
