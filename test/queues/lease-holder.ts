/** A process that takes a lease and keeps it until it is killed: node lease-holder.ts <redis url> <lease name>. */

import { hostname } from 'node:os';
import { workerConnection } from '../../shared/redis.ts';
import { Lease } from '../../worker/queues/lease.ts';

const [url = '', name = ''] = process.argv.slice(2);
const lease = new Lease(workerConnection(url), name, { workerId: 'child', host: hostname(), pid: process.pid });
await lease.take(() => process.exit(1));
process.send?.('held');
