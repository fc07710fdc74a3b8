import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { freePort, PrivateRedis } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import type { BucketSettings } from '../../shared/s3/bucket-settings.ts';
import type { KeyFarm } from '../config/key-farm.ts';
import { PREPARED_DIR } from './farm.ts';
import { startFarmProcesses } from './farm-processes.ts';
import { buildSmallAvatar, SMALL_MODEL } from './small-avatar.ts';

/** A farm whose processes see nothing of each other's disks: each has a storage.root of its own. */
export interface S3Farm extends AsyncDisposable {
  readonly client: NodeFarmClient;
  readonly url: string;
  /** What the processes logged, line by line. */
  readonly log: readonly string[];
  /** Files and folders below the storage roots, as `media/work`. */
  onDisks(): Promise<string[]>;
}

/**
 * @param settings laid over those of the farm, in the form of config.yaml.
 * @param keys has the configuration and the ports, where its keys are tested.
 */
export async function startS3Farm(
  bucket: BucketSettings,
  settings: Record<string, Record<string, unknown>> & { gpus?: { count: number } } = {},
  keys?: KeyFarm,
): Promise<S3Farm> {
  await buildSmallAvatar();
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-s3-farm-'));
  started.defer(async () => await rm(folder, { recursive: true, force: true }));
  const disks = path.join(folder, 'disks');
  const redis = await PrivateRedis.start(path.join(folder, 'redis'));
  started.defer(async () => await redis.stop());
  const port = keys?.httpPort ?? (await freePort());
  const configPath = keys?.configPath ?? path.join(folder, 'config.yaml');
  const config = {
    ...{ models: { small: SMALL_MODEL }, ...settings, gpus: { count: 1, ...settings.gpus } },
    ...{ http: { port, host: '127.0.0.1' }, redis: { url: redis.url } },
    server: { port: keys?.grpcAddress ?? `127.0.0.1:${await freePort()}` },
    // What a test renders a second time is to be rendered.
    storage: { driver: 's3', s3: bucket, prepared_dir: PREPARED_DIR, segment_cache_gb: 0, ...settings.storage },
  };
  if (keys) await keys.configure(config);
  else await writeFile(configPath, stringify(config));
  const { supervisor, log } = await startFarmProcesses(configPath, config.gpus.count, (name) => ({
    FARM_STORAGE__ROOT: path.join(disks, name),
  }));
  started.defer(async () => await supervisor.stop());
  const url = `http://127.0.0.1:${port}`;
  const running = started.move();
  return {
    ...{ client: new NodeFarmClient(url), url, log },
    async onDisks() {
      const names = await readdir(disks, { recursive: true });
      return names.filter((name) => name.includes(path.sep)).sort();
    },
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}
