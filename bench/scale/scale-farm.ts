import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { ENTRIES } from '../../cli/supervisor/farm-processes.ts';
import { freePort, PrivateRedis } from '../../cli/supervisor/private-redis.ts';
import type { ProcessSpec } from '../../cli/supervisor/supervised-process.ts';
import { Supervisor } from '../../cli/supervisor/supervisor.ts';
import { writeCheapAvatar } from '../cheap-avatar.ts';

const GPU_HOST = fileURLToPath(new URL('./gpu-host.ts', import.meta.url));
/** GPU workers in one process. */
const GPUS_A_HOST = 32;
const DRAIN_MS = 5000;

export const MODEL_ID = 'cheap';

/** A farm whose GPUs are simulated: Redis, front end, media worker and GPU workers are the real ones. */
export class ScaleFarm implements AsyncDisposable {
  readonly redis: PrivateRedis;
  readonly grpcAddress: string;
  readonly httpUrl: string;
  readonly #folder: string;
  readonly #frameMs: number;
  readonly #environment: Record<string, string>;
  readonly #supervisors: Supervisor[] = [];
  #gpuCount = 0;

  private constructor(folder: string, redis: PrivateRedis, ports: { http: number; grpc: number }, frameMs: number) {
    this.#folder = folder;
    this.redis = redis;
    this.grpcAddress = `127.0.0.1:${ports.grpc}`;
    this.httpUrl = `http://127.0.0.1:${ports.http}`;
    this.#frameMs = frameMs;
    this.#environment = {
      FARM_CONFIG: path.join(folder, 'config.yaml'),
      FARM_REDIS__URL: redis.url,
      FARM_STORAGE__ROOT: folder,
    };
  }

  /** @param frameMs what a frame takes on each GPU. */
  static async start(frameMs: number): Promise<ScaleFarm> {
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-scale-'));
    const redis = await PrivateRedis.start(path.join(folder, 'redis'));
    const ports = { http: await freePort(), grpc: await freePort() };
    const farm = new ScaleFarm(folder, redis, ports, frameMs);
    try {
      const avatar = await writeCheapAvatar(path.join(folder, 'avatar'));
      const settings = {
        ...{ http: { port: ports.http }, server: { port: farm.grpcAddress }, logging: { level: 'error' } },
        ...{ storage: { root: folder, segment_cache_gb: 0 }, models: { [MODEL_ID]: avatar } },
      };
      await writeFile(path.join(folder, 'config.yaml'), stringify(settings));
      await farm.#launch([
        { name: 'api', script: ENTRIES.api, args: [], environment: {} },
        { name: 'media', script: ENTRIES.worker, args: ['--media'], environment: {} },
      ]);
    } catch (error) {
      await farm[Symbol.asyncDispose]();
      throw error;
    }
    return farm;
  }

  get gpuCount(): number {
    return this.#gpuCount;
  }

  /** Process ids by name. */
  get pids(): ReadonlyMap<string, number> {
    return new Map(this.#supervisors.flatMap(({ pids }) => [...pids]));
  }

  /** Starts workers, each with its model in memory, until there are so many. */
  async growTo(gpuCount: number): Promise<void> {
    const specs: ProcessSpec[] = [];
    for (let from = this.#gpuCount; from < gpuCount; from += GPUS_A_HOST) {
      const to = Math.min(gpuCount, from + GPUS_A_HOST);
      const args = ['--from', `${from}`, '--to', `${to}`, '--frame-ms', `${this.#frameMs}`];
      specs.push({ name: `gpus-${from}`, script: GPU_HOST, args, environment: {} });
    }
    await this.#launch(specs);
    this.#gpuCount = gpuCount;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#supervisors.map((supervisor) => supervisor.stop()));
    await this.redis.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #launch(specs: readonly ProcessSpec[]): Promise<void> {
    const supervisor = new Supervisor({
      environment: this.#environment,
      inheritOverrides: false,
      onLine: (name, line) => process.stderr.write(`  ${name}: ${line}\n`),
      drainMs: DRAIN_MS,
    });
    this.#supervisors.push(supervisor);
    await supervisor.start(specs);
  }
}
