/** A process that takes memory which no model explains, as its supervisor would see it: it asks to be started anew. */

import pino from 'pino';
import { startMemoryRecycle } from '../../worker/gpu/memory-recycle.ts';

const MB = 2 ** 20;
const LOOKS = 3;
const taken: Buffer[] = [];
const explained = Number(process.argv[2]) * MB;
let looks = 0;
startMemoryRecycle({
  models: () => {
    looks += 1;
    if (looks > LOOKS) process.send?.('looked');
    return { loaded: new Map(), memory: { usedBytes: explained, hostBytes: explained } };
  },
  log: pino({ level: 'silent' }),
  recycle: () => process.send?.('recycle'),
  boundBytes: 100 * MB,
  lookEveryMs: 10,
});
taken.push(Buffer.alloc(200 * MB, 1));
// The channel to whoever started it keeps it alive.
process.on('message', () => {});
