import path from 'node:path';
import type { Config } from '../shared/config/load.ts';
import { refuseOpenAddress } from '../shared/config/open-address.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { readEnvironment } from '../shared/process/environment.ts';
import { CLOSING_MS } from '../shared/process/shutdown.ts';
import { ignored } from '../shared/process/unheard.ts';
import type { ProcessState } from '../shared/views/process-view.ts';
import { untilPortsFree } from './doctor/ports.ts';
import { lockFolder } from './supervisor/farm-lock.ts';
import { farmProcesses } from './supervisor/farm-processes.ts';
import { PrivateRedis } from './supervisor/private-redis.ts';
import { Supervisor } from './supervisor/supervisor.ts';

export interface LocalFarmOptions {
  readonly config: Config;
  /** False when `config` was read without the FARM_ variables, so that the processes do without them too. */
  readonly inheritOverrides?: boolean;
  readonly onLine: (name: string, line: string) => void;
  /** Told in words when another farm has taken the data folder: this one must end at once. */
  readonly onLost?: (reason: string) => void;
}

/** Milliseconds that a farm with this configuration takes at most to drain; what is left then is killed. */
export function longestDrainMs(config: Config): number {
  return config.limits.drain_seconds * 1000 + 2 * CLOSING_MS;
}

/** All processes of a farm on this machine, with a Redis of their own when none is configured. */
export class LocalFarm {
  readonly #options: LocalFarmOptions;
  #unlock: (() => Promise<void>) | undefined;
  #redis: PrivateRedis | undefined;
  #redisState: ProcessState | undefined;
  #supervisor: Supervisor | undefined;
  #starting: Promise<void> | undefined;
  #stopAsked = false;

  /** FarmError('access_open') for a farm that would let strangers in. */
  constructor(options: LocalFarmOptions) {
    refuseOpenAddress(options.config);
    this.#options = options;
  }

  /** A farm that takes renders. */
  static async start(options: LocalFarmOptions): Promise<LocalFarm> {
    const farm = new LocalFarm(options);
    await farm.start();
    return farm;
  }

  get hasPrivateRedis(): boolean {
    return this.#redis !== undefined;
  }

  get redisUrl(): string {
    return this.#redis?.url ?? this.#options.config.redis.url;
  }

  /** Process ids by name. */
  get pids(): ReadonlyMap<string, number> {
    return this.#supervisor?.pids ?? new Map();
  }

  /** Starts everything and resolves when it takes renders. What was started is stopped again when something fails. */
  async start(): Promise<void> {
    this.#starting = this.#startAll();
    try {
      await this.#starting;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Has every process read the configuration again. */
  reload(): void {
    this.#supervisor?.reload();
  }

  /** Drains the processes, then ends Redis. A start that is under way ends, too, and rejects. */
  async stop(): Promise<void> {
    this.#stopAsked = true;
    await this.#supervisor?.stop();
    await this.#starting?.catch(ignored('whoever started it is told'));
    await this.#redis?.stop();
    await this.#unlock?.();
  }

  /** Ends the processes at once, and Redis as soon as it has written what it holds. Renders go on at the next start. */
  async kill(): Promise<void> {
    this.#supervisor?.kill();
    await this.stop();
  }

  async #startAll(): Promise<void> {
    const { config, inheritOverrides = true, onLine, onLost = () => {} } = this.#options;
    this.#unlock = await lockFolder(config.storageRoot, { say: (line) => onLine('farm', line), onLost });
    // Before anything is started that would have to be stopped again.
    await untilPortsFree(config);
    if (!config.redis.url) {
      this.#redis = await PrivateRedis.start(path.join(config.storageRoot, 'redis'), {
        say: (line) => onLine('redis', line),
        onState: (state) => {
          this.#redisState = state;
          this.#supervisor?.note(state);
        },
      });
    }
    if (this.#stopAsked) throw new FarmError('request_cancelled', 'The farm was told to stop before it had started');
    this.#supervisor = new Supervisor({
      environment: {
        ...(config.sourcePath ? { FARM_CONFIG: config.sourcePath } : {}),
        FARM_REDIS__URL: this.redisUrl,
        FARM_STORAGE__ROOT: config.storageRoot,
      },
      inheritOverrides,
      onLine,
      drainMs: longestDrainMs(config),
    });
    if (this.#redisState) this.#supervisor.note(this.#redisState);
    await this.#supervisor.start(farmProcesses(config.gpus.count, readEnvironment().cudaDevices));
  }
}
