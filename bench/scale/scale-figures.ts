import { quantile } from '../harness/contract.ts';
import type { LoadOutcome } from './loads.ts';
import type { Observation } from './observation.ts';

/** By name; null where a figure does not apply. */
export type Figures = Record<string, number | null>;

const FRONT_END = /^api$/;
const GPU_WORKERS = /^gpus-/;
const MEDIA = /^media$/;
const REDIS = /^redis$/;

/** What a farm costs while it has nothing to do. */
export function atRest(rest: Observation, gpus: number): Figures {
  const share = (kind: RegExp) => (100 * cpuMs(rest, kind)) / (1000 * rest.seconds);
  return {
    'at rest: Redis commands/s': rest.commandCount / rest.seconds,
    '  a GPU': rest.commandCount / rest.seconds / gpus,
    '  Redis in + out, KB/s': (rest.bytesIn + rest.bytesOut) / 1000 / rest.seconds,
    '  CPU of Redis, % of a core': share(REDIS),
    '  CPU of a GPU worker, % of a core': share(GPU_WORKERS) / gpus,
    '  CPU of the front end, % of a core': share(FRONT_END),
    '  CPU of the media worker, % of a core': share(MEDIA),
    '  connections to Redis, a GPU': rest.connections / gpus,
    '  memory of Redis, MB': rest.redisMb,
  };
}

/** What a load costs, without what the farm costs at rest. */
export function underLoad(
  name: string,
  { rest, loaded, outcome }: { rest: Observation; loaded: Observation; outcome: LoadOutcome },
): Figures {
  const { frames, gpuJobs, addedMs, failures } = outcome;
  const aFrame = (of: (seen: Observation) => number) =>
    frames > 0 ? (of(loaded) - (of(rest) * loaded.seconds) / rest.seconds) / frames : null;
  // The names of all figures of a farm must differ.
  const label = (what: string) => `  ${name.split(/[ /,]/)[1]}: ${what}`;
  return {
    [`${name}: frames/s`]: frames / loaded.seconds,
    [label('jobs/s on GPUs')]: gpuJobs === null ? null : gpuJobs / loaded.seconds,
    [label('failed')]: [...failures.values()].reduce((sum, count) => sum + count, 0),
    [label('added to what the GPU takes, p50 ms')]: quantile(addedMs, 0.5),
    [label('added, p99 ms')]: quantile(addedMs, 0.99),
    [label('Redis commands a frame')]: aFrame((seen) => seen.commandCount),
    [label('Redis in + out, KB a frame')]: aFrame((seen) => (seen.bytesIn + seen.bytesOut) / 1000),
    [label('CPU of Redis, ms a frame')]: aFrame((seen) => cpuMs(seen, REDIS)),
    [label('CPU of the front end, ms a frame')]: aFrame((seen) => cpuMs(seen, FRONT_END)),
    [label('CPU of GPU workers, ms a frame')]: aFrame((seen) => cpuMs(seen, GPU_WORKERS)),
    [label('CPU of media workers, ms a frame')]: aFrame((seen) => cpuMs(seen, MEDIA)),
  };
}

function cpuMs({ cpuMs: byName }: Observation, kind: RegExp): number {
  return [...byName].reduce((sum, [name, ms]) => (kind.test(name) ? sum + ms : sum), 0);
}
