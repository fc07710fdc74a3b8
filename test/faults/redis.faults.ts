import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { DisturbedRenders, type Fault, type Moment } from './disturbed-render.ts';

/** A Redis that answers, and refuses: out of memory, demoted to a replica, unable to save. */

const SECONDS = 40;
const FAULT_MS = 8000;
const MOMENTS: readonly Moment[] = ['uploading', 'queued', 'preparing', 'rendering', 'stitching'];

describe('a render is the same', () => {
  let renders: DisturbedRenders;

  before(async () => {
    renders = await DisturbedRenders.start(SECONDS);
  });
  after(async () => await renders[Symbol.asyncDispose]());

  /** Sends one command to have the fault, and another one to be rid of it. */
  const commands =
    (begin: [string, ...string[]], end: [string, ...string[]]): Fault =>
    async () => {
      await order(begin);
      return async () => {
        await delay(FAULT_MS);
        await order(end);
      };
    };
  const order = async ([name, ...args]: [string, ...string[]]) => {
    const redis = new Redis(renders.farm.farm.redisUrl);
    await redis.call(name, ...args).finally(() => redis.disconnect());
  };

  const faults: readonly { readonly what: string; readonly fault: Fault }[] = [
    {
      what: 'Redis out of memory',
      fault: commands(['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']),
    },
    {
      // The master that it is told to follow is not there: it keeps what it has, and takes no writes.
      what: 'Redis demoted to a replica',
      fault: commands(['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']),
    },
    {
      what: 'Redis without enough replicas',
      fault: commands(['CONFIG', 'SET', 'min-replicas-to-write', '1'], ['CONFIG', 'SET', 'min-replicas-to-write', '0']),
    },
    { what: 'writes paused', fault: commands(['CLIENT', 'PAUSE', String(FAULT_MS), 'WRITE'], ['PING']) },
    { what: 'all connections cut', fault: commands(['CLIENT', 'KILL', 'TYPE', 'normal'], ['PING']) },
  ];

  for (const { what, fault } of faults) {
    for (const moment of MOMENTS) {
      it(`with ${what} while it is ${moment}`, async (t) => {
        const endedAfterS = await renders.disturb(moment, fault);
        t.diagnostic(`figure: ${what} for ${FAULT_MS / 1000} s, ${moment}: ended ${endedAfterS.toFixed(1)} s later`);
      });
    }
  }
});
