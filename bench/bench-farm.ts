import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { LocalFarm } from '../cli/local-farm.ts';
import { freePort } from '../cli/private-redis.ts';
import { FarmClient } from '../client/farm-client.ts';
import { loadConfig } from '../shared/config/load.ts';

/** A whole farm on this machine, in a folder of its own, for as long as a benchmark runs. */
export interface BenchFarm extends AsyncDisposable {
  readonly client: FarmClient;
  /** host:port */
  readonly grpcAddress: string;
  readonly redisUrl: string;
}

/** @param settings in the form of config.yaml; `folder` is where files of the benchmark may lie. */
export async function startBenchFarm(settings: (folder: string) => Promise<object> | object): Promise<BenchFarm> {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-bench-'));
  const configPath = path.join(folder, 'config.yaml');
  const [port, grpcAddress] = [await freePort(), `127.0.0.1:${await freePort()}`];
  const own = { http: { port }, server: { port: grpcAddress }, storage: { root: folder } };
  await writeFile(configPath, stringify({ ...own, ...(await settings(folder)) }));
  const config = loadConfig(configPath, { redisUrl: undefined, configPath: undefined, overrides: new Map() });
  const farm = await LocalFarm.start({ config, inheritOverrides: false, onLine: () => {} });
  return {
    client: new FarmClient(`http://127.0.0.1:${port}`),
    grpcAddress,
    redisUrl: farm.redisUrl,
    async [Symbol.asyncDispose]() {
      await farm.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
