import { FarmError } from '../errors/farm-error.ts';

/**
 * Ends a command that failed: what happened and what to do on standard error, exit code 1. With --json on its command
 * line, the same as the last line of standard output.
 */
export function reportFailure(error: unknown): void {
  const report = FarmError.from(error).toReport();
  const { code, message, remedy } = report;
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: report })}\n`);
  process.stderr.write(`\nfarm: ${message}\n  what to do: ${remedy}  [${code}]\n`);
  process.exitCode = 1;
}
