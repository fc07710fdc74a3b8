import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { farmProcesses } from '../../cli/farm-processes.ts';
import { freePort, PrivateRedis } from '../../cli/private-redis.ts';
import { Supervisor } from '../../cli/processes.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { nameOf } from './command-names.ts';
import { RedisProxy } from './redis-proxy.ts';
import { buildSmallAvatar, SMALL_MODEL } from './small-avatar.ts';

/** A farm whose every process reaches its Redis through a door of a proxy: `api`, `media`, `gpu-0` … */
export interface CutFarm extends AsyncDisposable {
  readonly client: NodeFarmClient;
  readonly url: string;
  readonly proxy: RedisProxy;
  /** Of the Redis itself. */
  readonly redisUrl: string;
  readonly folder: string;
  /** Process ids by name, without that of Redis, which is in `redis/redis.pid` under the folder. */
  readonly pids: ReadonlyMap<string, number>;
  /** What the processes logged, line by line. */
  readonly log: readonly string[];
}

/** @param settings laid over those of the farm, in the form of config.yaml. */
export async function startCutFarm(
  settings: Record<string, object> & { gpus?: { count: number } } = {},
): Promise<CutFarm> {
  await buildSmallAvatar();
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-cut-'));
  const redis = await PrivateRedis.start(path.join(folder, 'redis'));
  const proxy = new RedisProxy(redis.url);
  const port = await freePort();
  const configPath = path.join(folder, 'config.yaml');
  const config = {
    ...{ models: { small: SMALL_MODEL }, ...settings, gpus: { count: 1, ...settings.gpus } },
    ...{ http: { port, host: '127.0.0.1' }, server: { port: `127.0.0.1:${await freePort()}` } },
    ...{ storage: { root: path.join(folder, 'data'), segment_cache_gb: 0, ...settings.storage } },
  };
  await writeFile(configPath, stringify(config));
  const log: string[] = [];
  const supervisor = new Supervisor({
    environment: { FARM_CONFIG: configPath },
    inheritOverrides: false,
    onLine: (name, line) => void log.push(`${name} ${line}`),
    drainMs: 10_000,
  });
  const dispose = async () => {
    await supervisor.stop();
    await proxy[Symbol.asyncDispose]();
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  };
  // Each script is sent whole once, and known by its hash from then on.
  proxy.judge = (command) => nameOf(command) === '';
  try {
    const specs = farmProcesses(config.gpus.count, undefined).map(async (spec) => ({
      ...spec,
      environment: { ...spec.environment, FARM_REDIS__URL: await proxy.open(spec.name) },
    }));
    await supervisor.start(await Promise.all(specs));
  } catch (error) {
    await dispose();
    throw error;
  }
  const url = `http://127.0.0.1:${port}`;
  const client = new NodeFarmClient(url);
  return {
    ...{ client, url, proxy, redisUrl: redis.url, folder, log },
    get pids() {
      return supervisor.pids;
    },
    [Symbol.asyncDispose]: dispose,
  };
}
