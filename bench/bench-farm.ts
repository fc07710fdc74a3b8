import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import { freePort } from '../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../client/node/farm-client.ts';

const THIS_BUILD = fileURLToPath(new URL('..', import.meta.url));

/** A whole farm on this machine, in a folder of its own, for as long as a benchmark runs. */
export interface BenchFarm extends AsyncDisposable {
  readonly client: NodeFarmClient;
  /** host:port */
  readonly grpcAddress: string;
  readonly redisUrl: string;
  /** Ids of the farm's processes by name, Redis left out. */
  readonly pids: ReadonlyMap<string, number>;
}

const running = new Set<() => Promise<void>>();

/**
 * Starts a farm and waits until it takes renders.
 * @param settings in the form of config.yaml; `folder` is where files of the benchmark may lie.
 * @param onLine hears what its processes log.
 * @param root of the build whose farm it is: this one, or the one of `--before`.
 */
export async function startBenchFarm(
  settings: (folder: string) => Promise<object> | object,
  root: string = THIS_BUILD,
  onLine: (name: string, line: string) => void = () => {},
): Promise<BenchFarm> {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-bench-'));
  const configPath = path.join(folder, 'config.yaml');
  const [port, grpcAddress] = [await freePort(), `127.0.0.1:${await freePort()}`];
  // What a benchmark renders again is to be rendered; earlier builds may know no such key.
  const keys = await readFile(path.join(root, 'config.example.yaml'), 'utf8');
  const kept = keys.includes('segment_cache_gb') ? { segment_cache_gb: 0 } : {};
  const own = { http: { port }, storage: { root: folder, ...kept } };
  const { server = {}, ...given }: { server?: object } = await settings(folder);
  await writeFile(configPath, stringify({ ...own, ...given, server: { port: grpcAddress, ...server } }));
  const { LocalFarm, loadConfig } = await buildAt(root);
  const config = loadConfig(configPath, { redisUrl: undefined, configPath: undefined, overrides: new Map() });
  const farm = new LocalFarm({ config, inheritOverrides: false, onLine });
  const stop = async () => {
    running.delete(stop);
    await farm.stop();
    await rm(folder, { recursive: true, force: true });
  };
  running.add(stop);
  try {
    await farm.start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    client: new NodeFarmClient(`http://127.0.0.1:${port}`),
    grpcAddress,
    redisUrl: farm.redisUrl,
    pids: farm.pids,
    [Symbol.asyncDispose]: stop,
  };
}

/** Stops every farm that still runs, for a benchmark that ends early. */
export async function stopBenchFarms(): Promise<void> {
  await Promise.allSettled([...running].map((stop) => stop()));
}

/** The modules of a build that start its farm. */
async function buildAt(root: string) {
  const load = (file: string) => import(pathToFileURL(path.join(root, file)).href);
  const { LocalFarm } = (await load('cli/local-farm.ts')) as typeof import('../cli/local-farm.ts');
  const { loadConfig } = (await load('shared/config/load.ts')) as typeof import('../shared/config/load.ts');
  return { LocalFarm, loadConfig };
}
