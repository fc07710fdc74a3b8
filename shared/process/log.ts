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
  const destination = outputFor(options);
  const hooks = { streamWrite: withoutSecrets };
  const log = pino({ level: options.level, base: { process: processName }, hooks }, destination);
  logUnheardTo(log);
  return log;
}

/** One for all loggers of the thread: whoever writes out what was collected writes out all of it, in its order. */
const outputs = new Map<string, ReturnType<typeof pino.destination>>();

function outputFor({ buffered_logging: buffered, auto_flush, flush_interval_ms }: LogOptions) {
  const periodicFlush = buffered && auto_flush ? flush_interval_ms : 0;
  const key = `${buffered} ${periodicFlush}`;
  const known = outputs.get(key);
  if (known) return known;
  const output = pino.destination({
    dest: 1,
    sync: !buffered,
    ...(buffered ? { minLength: BUFFER_BYTES } : {}),
    ...(periodicFlush > 0 ? { periodicFlush } : {}),
  });
  outputs.set(key, output);
  return output;
}

/** Writes what was collected, before it returns: for a process that is about to end. */
export function writeOut(log: Logger): void {
  const { [pino.symbols.streamSym]: destination } = log as unknown as Record<symbol, { flushSync?(): void }>;
  destination?.flushSync?.();
}
