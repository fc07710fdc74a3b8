import { mkdirSync } from 'node:fs';
import path from 'node:path';
import pino from 'pino';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { Logger } from '../../shared/process/log.ts';
import { withoutSecrets } from '../../shared/secrets.ts';

/** Where the lines of an access or audit log go. */
export interface Lines {
  write(fields: object, message: string): void;
  /** Opens its file anew, which another program has moved away. */
  reopen(): void;
  close(): void;
}

/**
 * @param target `off`, `log` for lines among those of the process, whatever their level, or the path of a file.
 * @param folder where a relative path begins.
 * @throws FarmError('config_invalid') for a file that cannot be written to.
 */
export function openLines(key: string, target: string, folder: string, log: Logger): Lines | undefined {
  if (target === 'off') return undefined;
  if (target === 'log') return amongOthers(log);
  const file = path.resolve(folder, target);
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    const destination = pino.destination({ dest: file, append: true, sync: true });
    const lines = pino({ base: null, hooks: { streamWrite: withoutSecrets } }, destination);
    return {
      write: (fields, message) => lines.info(fields, message),
      reopen: () => destination.reopen(),
      close: () => destination.end(),
    };
  } catch (error) {
    throw new FarmError('config_invalid', `${key}: cannot write to ${file}: ${(error as Error).message}`);
  }
}

function amongOthers(log: Logger): Lines {
  return { write: (fields, message) => log.info(fields, message), reopen() {}, close() {} };
}
