import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { stringify } from 'yaml';
import { ENTRIES } from '../../cli/supervisor/farm-processes.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';
import { untilReady } from '../support/until-ready.ts';

/** Writes a configuration for GPU workers with the small avatar; it is gone after the last test of the file. */
export async function writeWorkerConfig(settings: Record<string, object> = {}): Promise<string> {
  await buildSmallAvatar();
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-gpu-'));
  after(async () => await rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'config.yaml');
  await writeFile(file, stringify({ models: { small: SMALL_MODEL }, storage: { root: 'data' }, ...settings }));
  return file;
}

/** Starts `worker --gpu N` and waits until it is ready. @param more words of its command. */
export async function startGpuProcess(
  gpuId: number,
  configPath: string,
  redisUrl: string,
  more: readonly string[] = [],
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [ENTRIES.worker, '--gpu', String(gpuId), ...more], {
    env: { ...process.env, FARM_CONFIG: configPath, FARM_REDIS__URL: redisUrl },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await untilReady(child);
  return child;
}

/** Ends a process with a signal and waits for that. */
export async function endProcess(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}
