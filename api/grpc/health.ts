import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { unexpected } from '../../shared/process/unheard.ts';
import type { Readiness } from '../readiness.ts';

const LOOK_EVERY_MS = 1000;
/** Stands for the whole server. */
const WHOLE_SERVER = '';

/**
 * The standard health service (grpc.health.v1): SERVING while nothing keeps live requests from being served, by the same
 * look as GET /readyz, every second. NOT_SERVING from the first moment of a drain. One look for all servers.
 */
export class FarmHealth {
  readonly #readiness: Readiness;
  readonly #servers: { readonly health: HealthImplementation; readonly names: readonly string[] }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #draining = false;
  #said: string | undefined;

  constructor(readiness: Readiness) {
    this.#readiness = readiness;
  }

  /** Adds the service to a server. Call it before `start`. @param services of that server, beside this one. */
  addTo(server: Server, services: readonly string[]): void {
    const health = new HealthImplementation();
    health.addToServer(server);
    this.#servers.push({ health, names: [WHOLE_SERVER, ...services] });
  }

  /** Looks for the first time, and from then on. */
  async start(): Promise<void> {
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
    for (const { health, names } of this.#servers) for (const name of names) health.setStatus(name, status);
  }
}
