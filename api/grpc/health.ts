import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Redis } from 'ioredis';
import { readHeartbeats } from '../../shared/heartbeat.ts';
import { logged, unexpected } from '../../shared/process/unheard.ts';
import { liveGpus } from './model-list.ts';
import { FARM_SERVICE, MONOLITHIC_SERVICE } from './protos.ts';

const LOOK_EVERY_MS = 1000;
/** The empty name stands for the whole server. */
const NAMES = ['', MONOLITHIC_SERVICE, FARM_SERVICE];

/**
 * The standard health service (grpc.health.v1): SERVING while Redis answers and a GPU worker is alive, looked at every
 * second. NOT_SERVING from the first moment of a drain.
 */
export class FarmHealth {
  readonly #health = new HealthImplementation();
  readonly #redis: Redis;
  #timer: NodeJS.Timeout | undefined;
  #draining = false;
  #said: string | undefined;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Adds the service and looks for the first time. */
  async start(server: Server): Promise<void> {
    this.#health.addToServer(server);
    await this.#look();
  }

  drain(): void {
    this.#draining = true;
    clearTimeout(this.#timer);
    this.#say('NOT_SERVING');
  }

  async #look(): Promise<void> {
    const gpus = await readHeartbeats(this.#redis).then(
      liveGpus,
      logged('could not read which GPUs work; the health is NOT_SERVING'),
    );
    if (this.#draining) return;
    this.#say(gpus && gpus.length > 0 ? 'SERVING' : 'NOT_SERVING');
    this.#timer = setTimeout(() => this.#look().catch(unexpected), LOOK_EVERY_MS);
  }

  /** Those who watch are told of changes only. */
  #say(status: 'SERVING' | 'NOT_SERVING'): void {
    if (status === this.#said) return;
    this.#said = status;
    for (const name of NAMES) this.#health.setStatus(name, status);
  }
}
