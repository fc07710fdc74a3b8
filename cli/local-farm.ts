import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors.ts';
import { readEnvironment } from '../shared/process/environment.ts';
import { CLOSING_MS } from '../shared/process/shutdown.ts';
import { farmProcesses } from './farm-processes.ts';
import { PrivateRedis } from './private-redis.ts';
import { Supervisor } from './processes.ts';

export interface LocalFarmOptions {
  readonly config: Config;
  /** False when `config` was read without the FARM_ variables, so that the processes do without them too. */
  readonly inheritOverrides?: boolean;
  readonly onLine: (name: string, line: string) => void;
}

/** All processes of a farm on this machine, with a Redis of their own when none is configured. */
export class LocalFarm {
  readonly #supervisor: Supervisor;
  readonly #redis: PrivateRedis | undefined;
  readonly #lockPath: string;
  readonly redisUrl: string;

  private constructor(supervisor: Supervisor, redis: PrivateRedis | undefined, redisUrl: string, lockPath: string) {
    this.#supervisor = supervisor;
    this.#redis = redis;
    this.redisUrl = redisUrl;
    this.#lockPath = lockPath;
  }

  get hasPrivateRedis(): boolean {
    return this.#redis !== undefined;
  }

  /** Process ids by name. */
  get pids(): ReadonlyMap<string, number> {
    return this.#supervisor.pids;
  }

  /** Starts everything and resolves when it takes renders. What was started is stopped again when something fails. */
  static async start({ config, inheritOverrides = true, onLine }: LocalFarmOptions): Promise<LocalFarm> {
    const lockPath = await lockFolder(config.storageRoot);
    const redis = config.redis.url ? undefined : await startRedis(config.storageRoot, lockPath);
    const redisUrl = redis?.url ?? config.redis.url;
    const supervisor = new Supervisor({
      environment: {
        ...(config.sourcePath ? { FARM_CONFIG: config.sourcePath } : {}),
        FARM_REDIS__URL: redisUrl,
        FARM_STORAGE__ROOT: config.storageRoot,
      },
      inheritOverrides,
      onLine,
      drainMs: config.limits.drain_seconds * 1000 + 2 * CLOSING_MS,
    });
    const farm = new LocalFarm(supervisor, redis, redisUrl, lockPath);
    try {
      await supervisor.start(farmProcesses(config.gpus.count, readEnvironment().cudaDevices));
    } catch (error) {
      await farm.stop();
      throw error;
    }
    return farm;
  }

  /** Has every process read the configuration again. */
  reload(): void {
    this.#supervisor.reload();
  }

  /** Drains the processes, then ends Redis. */
  async stop(): Promise<void> {
    await this.#supervisor.stop();
    await this.#redis?.stop();
    await rm(this.#lockPath, { force: true });
  }
}

async function startRedis(storageRoot: string, lockPath: string): Promise<PrivateRedis> {
  try {
    return await PrivateRedis.start(path.join(storageRoot, 'redis'));
  } catch (error) {
    await rm(lockPath, { force: true });
    throw error;
  }
}

/** One farm a data folder. FarmError('farm_running') names the process that has it. */
async function lockFolder(storageRoot: string): Promise<string> {
  await mkdir(storageRoot, { recursive: true });
  const lockPath = path.join(storageRoot, 'farm.pid');
  for (;;) {
    try {
      await writeFile(lockPath, String(process.pid), { flag: 'wx' });
      return lockPath;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(await readFile(lockPath, 'utf8').catch(() => ''));
    if (holder && isAlive(holder)) {
      throw new FarmError('farm_running', `A farm already runs on ${storageRoot} (process ${holder})`);
    }
    await rm(lockPath, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
