import pino from 'pino';
import { withoutSecrets } from '../secrets.ts';
import { logUnheardTo } from './unheard.ts';

export type Logger = pino.Logger;

export interface LogOptions {
  readonly level: string;
  /** Collect lines in memory and write them every `flush_interval_ms` instead of one by one. */
  readonly buffered_logging: boolean;
  readonly auto_flush: boolean;
  readonly flush_interval_ms: number;
}

/** For a log with few lines. */
export const UNBUFFERED = { buffered_logging: false, auto_flush: false, flush_interval_ms: 0 } as const;

const BUFFER_BYTES = 4096;

/**
 * JSON lines on standard output. `processName` tells the processes of a farm apart: "api", "gpu-0", "media". Faults that
 * nobody awaits in this thread are logged there, too. No line has a secret of the configuration.
 */
export function createLogger(processName: string, options: LogOptions): Logger {
  const buffered = options.buffered_logging;
  const destination = pino.destination({
    dest: 1,
    sync: !buffered,
    ...(buffered ? { minLength: BUFFER_BYTES } : {}),
    ...(buffered && options.auto_flush ? { periodicFlush: options.flush_interval_ms } : {}),
  });
  const hooks = { streamWrite: withoutSecrets };
  const log = pino({ level: options.level, base: { process: processName }, hooks }, destination);
  logUnheardTo(log);
  return log;
}

/** Writes what was collected, before it returns: for a process that is about to end. */
export function writeOut(log: Logger): void {
  const { [pino.symbols.streamSym]: destination } = log as unknown as Record<symbol, { flushSync?(): void }>;
  destination?.flushSync?.();
}
