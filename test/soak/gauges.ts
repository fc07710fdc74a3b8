import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { Redis } from 'ioredis';
import type { TestFarm } from '../support/farm.ts';

/** What a farm holds at one moment. */
export interface Holdings {
  /** Of each process of the farm, by name. */
  readonly rssMb: Readonly<Record<string, number>>;
  /** Open files, pipes and sockets of each process. */
  readonly descriptors: Readonly<Record<string, number>>;
  /** All that descend from the one that started the farm, ffmpeg included. */
  readonly processes: number;
  /** Keys in Redis that do not expire by themselves, without the jobs that BullMQ keeps for a while. */
  readonly keys: number;
  readonly keptJobs: number;
  readonly redisMb: number;
  /** Files under storage.root, without those of Redis and logs. */
  readonly files: number;
}

const MB = 2 ** 20;
/** A job that BullMQ keeps, with its logs and locks. */
const JOB_KEY =
  /^\{farm\}:(media|media-long|gpu-\d+):(?!(wait|active|meta|events|id|pc|marker|prioritized|delayed|completed|failed|stalled|stalled-check|repeat|waiting-children|metrics:.*)$)/;

/** Looks at the processes, the Redis and the files of a farm, on Linux. */
export class Gauges implements AsyncDisposable {
  readonly #farm: TestFarm;
  readonly #redis: Redis;

  constructor(farm: TestFarm) {
    this.#farm = farm;
    this.#redis = new Redis(farm.farm.redisUrl);
  }

  async read(): Promise<Holdings> {
    const pids = [...this.#farm.farm.pids];
    const perProcess = await Promise.all(
      pids.map(async ([name, pid]) => ({ name, rssMb: await rssMbOf(pid), descriptors: await descriptorsOf(pid) })),
    );
    const keys = await this.#keys();
    const memory = /used_memory:(\d+)/.exec(await this.#redis.info('memory'))?.[1];
    return {
      rssMb: Object.fromEntries(perProcess.map(({ name, rssMb }) => [name, rssMb])),
      descriptors: Object.fromEntries(perProcess.map(({ name, descriptors }) => [name, descriptors])),
      processes: (await descendants(process.pid)).length,
      keys: keys.filter((key) => !JOB_KEY.test(key)).length,
      keptJobs: keys.filter((key) => JOB_KEY.test(key)).length,
      redisMb: Number(memory ?? 0) / MB,
      files: await filesUnder(path.join(this.#farm.folder, 'data', 'renders')),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#redis.disconnect();
  }

  async #keys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const piece of this.#redis.scanStream({ count: 500 })) keys.push(...(piece as string[]));
    const lifetimes = await Promise.all(keys.map((key) => this.#redis.pttl(key)));
    return keys.filter((_, index) => lifetimes[index] === -1);
  }
}

async function rssMbOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1] ?? 0) / 1024;
}

async function descriptorsOf(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`).catch(() => [])).length;
}

async function descendants(rootPid: number): Promise<number[]> {
  const parents = new Map<number, number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const line = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    // The name of the program, in brackets, may hold anything.
    const [, parent] = line.slice(line.lastIndexOf(')') + 2).split(' ');
    if (parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const below = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === rootPid || below(parent));
  };
  return [...parents.keys()].filter(below);
}

async function filesUnder(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const kinds = await Promise.all(names.map((name) => stat(path.join(folder, name)).catch(() => undefined)));
  return kinds.filter((kind) => kind?.isFile()).length;
}
