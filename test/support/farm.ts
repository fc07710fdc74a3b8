import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { LocalFarm } from '../../cli/local-farm.ts';
import { ENTRIES } from '../../cli/supervisor/farm-processes.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { NodeFarmClient } from '../../client/node/farm-client.ts';
import { DEMO_AVATAR_DIR, loadConfig } from '../../shared/config/load.ts';
import { buildSmallAvatar, SMALL_MODEL } from './small-avatar.ts';

/** The demo avatar's entry of `models:`. */
export const DEMO_MODEL = {
  model_path: path.join(DEMO_AVATAR_DIR, 'generator.onnx'),
  audio_encoder_path: path.join(DEMO_AVATAR_DIR, 'audio_encoder.onnx'),
  background_dir: path.join(DEMO_AVATAR_DIR, 'frames'),
  crop_rects_path: path.join(DEMO_AVATAR_DIR, 'crop_rects.json'),
};

/**
 * The avatars' pictures are prepared once for all test farms: the folder keeps them by their contents, and a farm that
 * finds them there starts no processes to make them.
 */
export const PREPARED_DIR = path.join(import.meta.dirname, '../../node_modules/.cache/prepared');

export interface TestFarm extends AsyncDisposable {
  readonly url: string;
  /** host:port of the gRPC services. */
  readonly grpcAddress: string;
  readonly client: NodeFarmClient;
  readonly farm: LocalFarm;
  /** Folder of the configuration and of all data; gone when the farm is disposed of. */
  readonly folder: string;
  /** What the processes logged, line by line. */
  readonly log: readonly string[];
  /** Kills a process of the farm by its name, such as "gpu-0"; throws when it does not run. */
  kill(name: string): void;
}

/**
 * Starts a whole farm in a private folder: own Redis, free port, real processes.
 * @param settings laid over the defaults, in the form of config.yaml.
 */
export async function startFarm(settings: Record<string, object> = {}): Promise<TestFarm> {
  const models = settings.models ?? { demo: DEMO_MODEL };
  await buildAvatars(models);
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-'));
  const configPath = path.join(folder, 'config.yaml');
  const [port, grpcPort] = [await freePort(), await freePort()];
  await writeFile(
    configPath,
    stringify({
      models,
      ...settings,
      // Tests open more streams at once than a processor renders in real time; those of admission set their own.
      live: { max_streams_per_gpu: 32, ...settings.live },
      http: { ...settings.http, port, host: '127.0.0.1' },
      server: { ...settings.server, port: `127.0.0.1:${grpcPort}` },
      // What a test renders a second time is to be rendered; those of kept segments set their own.
      storage: { segment_cache_gb: 0, ...settings.storage, root: 'data', prepared_dir: PREPARED_DIR },
    }),
  );
  const log: string[] = [];
  const config = loadConfig(configPath, { redisUrl: undefined, configPath: undefined, overrides: new Map() });
  const onLine = (name: string, line: string) => void log.push(`${name} ${line}`);
  const farm = await LocalFarm.start({ config, inheritOverrides: false, onLine }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    grpcAddress: `127.0.0.1:${grpcPort}`,
    client: new NodeFarmClient(url),
    farm,
    folder,
    log,
    kill(name) {
      const pid = farm.pids.get(name);
      // For 0 the system would take the group of this process.
      if (!pid) throw new Error(`${name} does not run`);
      process.kill(pid, 'SIGKILL');
    },
    async [Symbol.asyncDispose]() {
      await farm.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Builds those of the repository's avatars that entries of `models:` name. */
export async function buildAvatars(models: object): Promise<void> {
  const named = JSON.stringify(models);
  if (named.includes(SMALL_MODEL.model_path)) await buildSmallAvatar();
  if (named.includes(DEMO_AVATAR_DIR)) await buildDemoAvatar();
}

/** Builds the demo avatar if it is not there; several test files may ask at once. */
export async function buildDemoAvatar(): Promise<void> {
  const child = spawn(process.execPath, [ENTRIES.buildDemoAvatar], { stdio: ['ignore', 'ignore', 'inherit'] });
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  if (exitCode !== 0) throw new Error(`The demo avatar was not built (exit code ${exitCode})`);
}
