/** The system's own tools (nvidia-smi, vulkaninfo, ldd), which may not be there. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ignored } from '../../shared/process/unheard.ts';

/** A faulty driver can make its tools hang, and their output is not worth waiting for. */
const TOOL_TIMEOUT_MS = 5000;

/** What a tool prints; undefined when it is not installed, fails or takes longer than 5 s. Never rejects. */
export async function outputOf(command: string, args: readonly string[]): Promise<string | undefined> {
  return await promisify(execFile)(command, args, { timeout: TOOL_TIMEOUT_MS }).then(
    ({ stdout }) => stdout,
    ignored('a tool that is not there, or hangs, has nothing to say'),
  );
}
