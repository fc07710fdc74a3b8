/** The system's own tools (nvidia-smi, vulkaninfo, ldd), which may not be there. */

import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { toolEnvironment } from '../../shared/process/environment.ts';
import { ignored } from '../../shared/process/unheard.ts';

/** A faulty driver can make its tools hang, and their output is not worth waiting for. */
const TOOL_TIMEOUT_MS = 5000;
const KILLED_WITHIN_MS = 1000;

/** What a tool prints; undefined when it is not installed, fails or takes longer than 5 s. Never rejects. */
export async function outputOf(command: string, args: readonly string[]): Promise<string | undefined> {
  const options = { timeout: TOOL_TIMEOUT_MS, killSignal: 'SIGKILL', env: toolEnvironment() } as const;
  const run = promisify(execFile)(command, args, options);
  const stdout = run.then((result) => result.stdout, ignored('a tool that is not there, or hangs, has nothing to say'));
  // A driver that hangs keeps its tool from ending even when it is killed.
  return await Promise.race([stdout, delay(TOOL_TIMEOUT_MS + KILLED_WITHIN_MS, undefined, { ref: false })]);
}
