import { availableParallelism } from 'node:os';
import { GB } from '../units.ts';

/**
 * Limits of ffmpeg and ffprobe that no input can lift, and that hold when this process is gone: a shell sets them and
 * then becomes the program. Linux and macOS have the same shell; memory is limited on Linux only.
 */

/** Private memory of one program. 8K pictures through x264 take half of it. */
export const MOST_TOOL_BYTES = 4 * GB;

const SHELL = '/bin/sh';
/** A limit that is lower already stays; no core is dumped, since it would hold what the input held. */
const SCRIPT = [
  'lower() { (ulimit "$1" "$2") 2>/dev/null && ulimit "$1" "$2"; }',
  'lower -c 0; lower -t "$1"; lower -d "$2"; shift 2; exec "$@"',
].join('\n');

/** With this a shell ends that finds no such program. */
export const NOT_FOUND = 127;
/** And with this one that finds it and may not run it. */
export const NOT_RUN = 126;

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
}

/**
 * How to start a program within the limits.
 * @param program its name, or where it lies.
 * @param timeoutMs after which it is killed while this process lives; its processor time is bounded by the same on all
 * cores, so that it ends when nobody is left to kill it.
 */
export function confined(program: string, args: readonly string[], timeoutMs: number): Launch {
  const cpuSeconds = Math.ceil(timeoutMs / 1000) * availableParallelism();
  const limits = [cpuSeconds, Math.floor(MOST_TOOL_BYTES / 1024)].map(String);
  return { command: SHELL, args: ['-c', SCRIPT, 'sh', ...limits, program, ...args] };
}

/** Nothing but files of this machine, or what we send: no address, no device of ffmpeg's own, nothing a file names. */
export function only(protocol: 'file' | 'pipe'): string[] {
  return ['-protocol_whitelist', protocol];
}
