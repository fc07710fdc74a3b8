import pino from 'pino';

export type Logger = pino.Logger;

export interface LogOptions {
  readonly level: string;
  /** Collect lines in memory and write them every `flush_interval_ms` instead of one by one. */
  readonly buffered_logging: boolean;
  readonly auto_flush: boolean;
  readonly flush_interval_ms: number;
}

const BUFFER_BYTES = 4096;

/** JSON lines on standard output. `processName` tells the processes of a farm apart: "api", "gpu-0", "media". */
export function createLogger(processName: string, options: LogOptions): Logger {
  const buffered = options.buffered_logging;
  const destination = pino.destination({
    dest: 1,
    sync: !buffered,
    ...(buffered ? { minLength: BUFFER_BYTES } : {}),
    ...(buffered && options.auto_flush ? { periodicFlush: options.flush_interval_ms } : {}),
  });
  return pino({ level: options.level, base: { process: processName } }, destination);
}
