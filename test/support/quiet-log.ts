import { createLogger } from '../../shared/process/log.ts';
import type { RepeatLog } from '../../shared/process/repeat.ts';

/** For parts that log what a test does not look at. */
export const QUIET_LOG: RepeatLog = { warn() {}, info() {} };

/** A whole logger that writes nothing. */
export const SILENT_LOGGER = createLogger('test', {
  level: 'silent',
  buffered_logging: false,
  auto_flush: true,
  flush_interval_ms: 1,
});
