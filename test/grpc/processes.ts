import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { ENTRIES } from '../../cli/supervisor/farm-processes.ts';
import { freePort, PrivateRedis } from '../../cli/supervisor/private-redis.ts';
import { endProcess } from '../gpu/gpu-process.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';
import { untilReady } from '../support/until-ready.ts';

/** Single processes of a farm, so that a test can end one and start it again: no supervisor looks after them. */
export interface Processes extends AsyncDisposable {
  readonly grpcAddress: string;
  /** Folder of the configuration. */
  readonly folder: string;
  readonly redis: PrivateRedis;
  /** Resolves when the process says that it is ready; rejects with what it wrote when it ends first. */
  start(entry: 'api' | 'worker', ...args: string[]): Promise<ChildProcess>;
  /** Asks a process to end and waits for it. */
  stop(child: ChildProcess): Promise<void>;
}

/** Starts a Redis and prepares a configuration; nothing else runs yet. */
export async function prepareProcesses(settings: Record<string, object> = {}): Promise<Processes> {
  await buildSmallAvatar();
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-grpc-'));
  const redis = await PrivateRedis.start(path.join(folder, 'redis'));
  const [httpPort, grpcPort] = [await freePort(), await freePort()];
  const configPath = path.join(folder, 'config.yaml');
  const fixed = {
    http: { port: httpPort, host: '127.0.0.1' },
    server: { port: `127.0.0.1:${grpcPort}` },
    redis: { url: redis.url },
    storage: { root: 'data', segment_cache_gb: 0 },
  };
  await writeFile(configPath, stringify({ models: { small: SMALL_MODEL }, ...settings, ...fixed }));
  const children: ChildProcess[] = [];
  return {
    grpcAddress: `127.0.0.1:${grpcPort}`,
    folder,
    redis,
    async start(entry, ...args) {
      const child = spawn(process.execPath, [ENTRIES[entry], ...args], {
        env: { ...process.env, FARM_CONFIG: configPath },
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      });
      children.push(child);
      const said: string[] = [];
      child.stderr?.on('data', (text: Buffer) => said.push(text.toString()));
      const ended = once(child, 'exit').then(() => Promise.reject(new Error(`${entry} ended: ${said.join('')}`)));
      ended.catch(() => {});
      await Promise.race([untilReady(child), ended]);
      return child;
    },
    stop: (child) => endProcess(child, 'SIGTERM'),
    async [Symbol.asyncDispose]() {
      // Without a drain: the Redis that it would need may be gone.
      await Promise.all(children.map((child) => endProcess(child, 'SIGKILL')));
      await redis.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
