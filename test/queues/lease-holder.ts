/** A process that takes a lease and keeps it until it is killed: node lease-holder.ts <redis url> <lease name>. */

import { ownIdentity } from '../../shared/process/process-life.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { Lease } from '../../worker/queues/lease.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';

const [url = '', name = ''] = process.argv.slice(2);
const lease = new Lease(workerConnection(url), name, { workerId: 'child', ...ownIdentity() }, QUIET_LOG);
await lease.take(() => process.exit(1));
process.send?.('held');
