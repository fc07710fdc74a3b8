import { FarmError } from '../errors.ts';

/** Ends a command that failed: what happened and what to do on standard error, exit code 1. */
export function reportFailure(error: unknown): void {
  const { code, message, remedy } = FarmError.from(error).toReport();
  process.stderr.write(`\nfarm: ${message}\n  what to do: ${remedy}  [${code}]\n`);
  process.exitCode = 1;
}
