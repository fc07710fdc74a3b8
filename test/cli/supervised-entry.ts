import { existsSync, writeFileSync } from 'node:fs';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { endUnstarted, reportReady, showLife } from '../../shared/process/supervised.ts';

/** A process that behaves badly the first time that it is started, and well after that: `node … <how> <marker file>`. */

const [, , how = '', marker = ''] = process.argv;
const isFirst = !existsSync(marker);
writeFileSync(marker, '');
const keepsRunning = () => setInterval(() => {}, 1000);

showLife();
if (!isFirst || how === 'stops') {
  reportReady();
  keepsRunning();
} else if (how === 'fails') {
  endUnstarted(new FarmError('config_invalid', 'nothing.crt is not there'));
} else if (how === 'never ready') {
  keepsRunning();
} else {
  reportReady();
  if (how === 'crashes') setImmediate(() => process.exit(3));
  // Blocks its main thread for ever, once the supervisor has heard of it.
  if (how === 'blocks') setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), 300);
}
process.on('SIGTERM', () => process.exit(0));
