import { outputOf } from '../../shared/tools/tool-output.ts';

const LIST_TIMEOUT_MS = 30_000;

/**
 * Whether this machine's ffmpeg has all of these filters: some builds lack a few.
 * @throws FarmError: `dependency_missing` without ffmpeg, or the fault of the machine; `signal.reason`.
 */
export async function hasFilters(names: readonly string[], signal: AbortSignal): Promise<boolean> {
  const found: Buffer[] = [];
  const limits = { signal, timeoutMs: LIST_TIMEOUT_MS };
  for await (const chunk of outputOf('ffmpeg', ['-v', 'error', '-filters'], limits)) found.push(chunk);
  const known = new Set(
    Buffer.concat(found)
      .toString()
      .split('\n')
      .map((line) => line.trim().split(/\s+/)[1]),
  );
  return names.every((name) => known.has(name));
}
