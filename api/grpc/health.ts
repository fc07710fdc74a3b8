import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { unexpected } from '../../shared/process/unheard.ts';
import type { Readiness } from '../readiness.ts';
import { FARM_SERVICE, MONOLITHIC_SERVICE } from './protos.ts';

const LOOK_EVERY_MS = 1000;
/** The empty name stands for the whole server. */
const NAMES = ['', MONOLITHIC_SERVICE, FARM_SERVICE];

/**
 * The standard health service (grpc.health.v1): SERVING while nothing keeps live requests from being served, by the same
 * look as GET /readyz, every second. NOT_SERVING from the first moment of a drain.
 */
export class FarmHealth {
  readonly #health = new HealthImplementation();
  readonly #readiness: Readiness;
  #timer: NodeJS.Timeout | undefined;
  #draining = false;
  #said: string | undefined;

  constructor(readiness: Readiness) {
    this.#readiness = readiness;
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
    const { problems } = await this.#readiness.look();
    if (this.#draining) return;
    this.#say(problems.some(({ live }) => live) ? 'NOT_SERVING' : 'SERVING');
    this.#timer = setTimeout(() => this.#look().catch(unexpected), LOOK_EVERY_MS);
  }

  /** Those who watch are told of changes only. */
  #say(status: 'SERVING' | 'NOT_SERVING'): void {
    if (status === this.#said) return;
    this.#said = status;
    for (const name of NAMES) this.#health.setStatus(name, status);
  }
}
