import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Config, DEMO_AVATAR_DIR } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { ENTRIES } from './supervisor/farm-processes.ts';

/**
 * Builds the demo avatar if the configuration uses it; its builder does nothing when it is there already. What it says
 * goes to standard error.
 * FarmError('request_cancelled') when `signal` ends it.
 */
export async function buildDemoAvatar(config: Config, signal?: AbortSignal): Promise<void> {
  const used = [...config.models.values()].some(({ modelPath }) => modelPath.startsWith(DEMO_AVATAR_DIR));
  if (!used) return;
  const child = spawn(process.execPath, [ENTRIES.buildDemoAvatar], { stdio: ['ignore', process.stderr.fd, 'inherit'] });
  const end = () => child.kill('SIGTERM');
  signal?.addEventListener('abort', end);
  if (signal?.aborted) end();
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  signal?.removeEventListener('abort', end);
  if (signal?.aborted) throw new FarmError('request_cancelled', 'Building the demo avatar was interrupted');
  if (exitCode !== 0) throw new FarmError('internal', `Building the demo avatar failed (exit code ${exitCode})`);
}
