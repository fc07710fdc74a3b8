import type { Redis } from 'ioredis';
import { cpuMsOf, rssMbOf } from '../harness/process-cpu.ts';

/** What a farm's processes and its Redis do in a span of time. */

interface Snapshot {
  readonly atMs: number;
  readonly commands: ReadonlyMap<string, number>;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly cpuMs: ReadonlyMap<string, number>;
}

export interface Observation {
  readonly seconds: number;
  /** Commands that Redis did, by name, those inside scripts too. */
  readonly commands: ReadonlyMap<string, number>;
  readonly commandCount: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** By the process's name; `redis` is Redis itself. */
  readonly cpuMs: ReadonlyMap<string, number>;
  readonly connections: number;
  readonly redisMb: number;
}

/** @param pids of the farm's processes, by name. */
export async function observe(
  redis: Redis,
  pids: ReadonlyMap<string, number>,
  during: () => Promise<void>,
): Promise<Observation> {
  const redisPid = Number(field(await redis.info('server'), 'process_id'));
  const all = new Map([...pids, ['redis', redisPid]]);
  const before = await snapshot(redis, all);
  await during();
  const after = await snapshot(redis, all);
  const commands = new Map(
    [...after.commands]
      .map(([name, calls]) => [name, calls - (before.commands.get(name) ?? 0)] as const)
      .filter(([, calls]) => calls > 0),
  );
  return {
    seconds: (after.atMs - before.atMs) / 1000,
    commands,
    commandCount: [...commands.values()].reduce((sum, calls) => sum + calls, 0),
    bytesIn: after.bytesIn - before.bytesIn,
    bytesOut: after.bytesOut - before.bytesOut,
    cpuMs: new Map([...after.cpuMs].map(([name, ms]) => [name, ms - (before.cpuMs.get(name) ?? 0)])),
    connections: Number(field(await redis.info('clients'), 'connected_clients')),
    redisMb: rssMbOf(redisPid),
  };
}

async function snapshot(redis: Redis, pids: ReadonlyMap<string, number>): Promise<Snapshot> {
  const [stats, commandStats] = await Promise.all([redis.info('stats'), redis.info('commandstats')]);
  const commands = [...commandStats.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)];
  return {
    atMs: performance.now(),
    commands: new Map(commands.map(([, name = '', calls]) => [name, Number(calls)])),
    bytesIn: Number(field(stats, 'total_net_input_bytes')),
    bytesOut: Number(field(stats, 'total_net_output_bytes')),
    cpuMs: new Map([...pids].map(([name, pid]) => [name, cpuMsOf(pid)])),
  };
}

function field(info: string, name: string): string {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
}
