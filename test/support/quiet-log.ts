import type { RepeatLog } from '../../shared/process/repeat.ts';

/** For parts that log what a test does not look at. */
export const QUIET_LOG: RepeatLog = { warn() {}, info() {} };
