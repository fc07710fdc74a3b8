import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { freePort, PrivateRedis } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { nameOf } from './command-names.ts';
import { startFarmProcesses } from './farm-processes.ts';
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
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-cut-'));
  started.defer(async () => await rm(folder, { recursive: true, force: true }));
  const redis = await PrivateRedis.start(path.join(folder, 'redis'));
  started.defer(async () => await redis.stop());
  const proxy = started.use(new RedisProxy(redis.url));
  const port = await freePort();
  const configPath = path.join(folder, 'config.yaml');
  const config = {
    ...{ models: { small: SMALL_MODEL }, ...settings, gpus: { count: 1, ...settings.gpus } },
    ...{ http: { port, host: '127.0.0.1' }, server: { port: `127.0.0.1:${await freePort()}` } },
    ...{ storage: { root: path.join(folder, 'data'), segment_cache_gb: 0, ...settings.storage } },
  };
  await writeFile(configPath, stringify(config));
  // Each script is sent whole once, and known by its hash from then on.
  proxy.judge = (command) => nameOf(command) === '';
  const { supervisor, log } = await startFarmProcesses(configPath, config.gpus.count, async (name) => ({
    FARM_REDIS__URL: await proxy.open(name),
  }));
  started.defer(async () => await supervisor.stop());
  const url = `http://127.0.0.1:${port}`;
  const client = new NodeFarmClient(url);
  const running = started.move();
  return {
    ...{ client, url, proxy, redisUrl: redis.url, folder, log },
    get pids() {
      return supervisor.pids;
    },
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}
