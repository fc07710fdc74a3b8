import { spawnSync } from 'node:child_process';

/** A reason to stop, in words for the person at the keyboard. */
export class SetupError extends Error {}

/**
 * Runs one command quietly behind one line: `setup: installing Node packages … 21 s`.
 * `options` are spawn's, and `fallback(output)`, which may name { note, argv } to try instead of a failed command.
 * Returns { ok, output }, output being all that the command printed.
 */
export function runStep(title, argv, { fallback, ...options } = {}) {
  const startedAtMs = Date.now();
  process.stderr.write(`setup: ${title} … `);
  let result = run(argv, options);
  const instead = result.ok ? undefined : fallback?.(result.output);
  if (instead) {
    process.stderr.write(`${instead.note} … `);
    result = run(instead.argv, options);
  }
  const seconds = Math.round((Date.now() - startedAtMs) / 1000);
  process.stderr.write(result.ok ? `${seconds} s\n` : `failed after ${seconds} s\n`);
  return result;
}

function run([command, ...args], options) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  return { ok: status === 0, output: `${error ? `${error.message}\n` : ''}${stdout ?? ''}${stderr ?? ''}` };
}
