import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { ENTRIES } from './farm-processes.ts';

/** `farm inspect mel IN OUT`: the worker's own code does it, in a process of its own. */
export async function inspectMel(audioPath: string, outputPath: string): Promise<void> {
  const child = spawn(process.execPath, [ENTRIES.inspectMel, '--', audioPath, outputPath], { stdio: 'inherit' });
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  process.exitCode = exitCode ?? 1;
}
