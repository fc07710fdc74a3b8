import type { ErrorCode } from '../errors/catalogue.ts';
import { FarmError } from '../errors/farm-error.ts';
import { NOT_FOUND, NOT_RUN } from './confined.ts';

/**
 * Whose fault it is that ffmpeg or ffprobe did not succeed. What they cannot read or write as it was asked for is a
 * fault of the request; that they were killed, hung, could not start or had no room is a fault of the machine.
 */

export type Tool = 'ffmpeg' | 'ffprobe';

/** Bytes of a program's messages that are kept: with a damaged file ffmpeg repeats the same message for hours. */
export const KEPT_TEXT = 4096;

/** How a program ended without success. */
export interface ToolEnd {
  readonly exitCode: number | null;
  /** Name of the signal that ended it, such as SIGKILL. */
  readonly killedBy?: string | null | undefined;
  /** What it wrote to its standard error. */
  readonly said: string;
}

/** A shell, or a container's first process, gives the number of the signal in this way. */
const SIGNAL_BASE = 128;
const LAST_SIGNAL = 31;
/** With this ffmpeg ends after a signal that it has caught. */
const INTERRUPTED = 255;

/** In the words of the C library, which ffmpeg repeats. */
const MACHINE_SAYS: readonly (readonly [RegExp, ErrorCode])[] = [
  [/No space left on device|Disk quota exceeded/, 'storage_full'],
  [/Read-only file system|Stale file handle/, 'storage_failed'],
  [/Cannot allocate memory|Too many open files|Resource temporarily unavailable/, 'resources_exhausted'],
];

/** The error when a machine is at fault; undefined when the program's own words say what is wrong with its input. */
export function machineFault(tool: Tool, { exitCode, killedBy, said }: ToolEnd): FarmError | undefined {
  const found = MACHINE_SAYS.find(([words]) => words.test(said));
  if (exitCode === NOT_FOUND) return new FarmError('dependency_missing', `${tool} was not found on PATH`);
  if (exitCode === NOT_RUN && said.startsWith('sh: ')) return notStarted(tool, new Error(lastLines(said)));
  if (found) return new FarmError(found[1], `${tool}: ${lastLines(said)}`);
  const signal = killedBy ?? signalIn(exitCode);
  if (signal === undefined) {
    return said.trim() === ''
      ? new FarmError('tool_failed', `${tool} ended with ${exitCode} and said nothing`)
      : undefined;
  }
  const guess = signal === 'SIGKILL' || signal === 'signal 9' ? ', as a machine does that is out of memory' : '';
  return new FarmError('tool_failed', `${tool} was ended by ${signal}${guess}`);
}

/** The error for a program that did not succeed: of the machine, or `encode_failed` in the program's own words. */
export function failureOf(tool: Tool, end: ToolEnd, cause: Error): FarmError {
  return machineFault(tool, end) ?? new FarmError('encode_failed', lastLines(end.said), { cause });
}

/** The error for a program that took longer than it may. */
export function tookTooLong(tool: Tool, timeoutMs: number, cause?: unknown): FarmError {
  return new FarmError('tool_failed', `${tool} was stopped after ${timeoutMs / 1000} s`, { cause });
}

/** The error for a program that was killed because it did nothing. */
export function madeNoProgress(tool: Tool, silentMs: number): FarmError {
  return new FarmError('tool_failed', `${tool} made no progress for ${silentMs / 1000} s and was ended`);
}

/** The error for a program that the operating system did not start. */
export function notStarted(tool: Tool, cause: Error): FarmError {
  if ('code' in cause && cause.code === 'ENOENT') {
    return new FarmError('dependency_missing', `${tool} was not found on PATH`, { cause });
  }
  const { code } = FarmError.from(cause, 'tool_failed');
  return new FarmError(code, `${tool} could not be started: ${cause.message}`, { cause });
}

const LAST_LINES = 4;

/** The end of what a program said, in one line. */
export function lastLines(said: string): string {
  return said.trim().split('\n').slice(-LAST_LINES).join(' | ');
}

function signalIn(exitCode: number | null): string | undefined {
  if (exitCode === null) return undefined;
  if (exitCode === INTERRUPTED) return 'a signal';
  const number = exitCode - SIGNAL_BASE;
  return number >= 1 && number <= LAST_SIGNAL ? `signal ${number}` : undefined;
}
