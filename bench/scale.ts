import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { workerConnection } from '../shared/redis.ts';
import { saveFigures } from './figures.ts';
import { GrpcCalls } from './grpc-calls.ts';
import { quantile } from './harness/contract.ts';
import { busyWarning, MACHINE, machineState } from './harness/machine.ts';
import { figure } from './harness/table.ts';
import { type LoadOutcome, sendRequests } from './scale/live-load.ts';
import { type Observation, observe } from './scale/observation.ts';
import { MODEL_ID, ScaleFarm } from './scale/scale-farm.ts';

/**
 * `npm run bench:scale -- [--gpus 8,32,128,512] [--frame-ms 2.5] [--rate 8]`: the same load on farms of more and more
 * GPUs. Redis, queues, dispatcher, leases, heartbeats, frame channel and front end are the real ones, and so is the main
 * thread of each GPU worker; in place of the pipeline a thread waits as long as a GPU would take. Many workers share a
 * process. Prints what the farm costs at rest and under the load; writes bench/out/scale.json.
 */

const FRAMES = 24;

interface Step {
  readonly gpus: number;
  readonly idle: Observation;
  readonly loaded: Observation;
  readonly outcome: LoadOutcome;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      gpus: { type: 'string', default: '8,32,128,512' },
      'frame-ms': { type: 'string', default: '2.5' },
      rate: { type: 'string', default: '8' },
      seconds: { type: 'string', default: '10' },
      commands: { type: 'boolean' },
    },
  });
  const frameMs = Number(values['frame-ms']);
  const seconds = Number(values.seconds);
  const state = await machineState();
  process.stdout.write(`${MACHINE}, load ${state.load.toFixed(1)}\n${busyWarning(state) ?? ''}\n`);
  await using farm = await ScaleFarm.start(frameMs);
  const redis = workerConnection(farm.redis.url);
  const calls = new GrpcCalls(farm.grpcAddress);
  const steps: Step[] = [];
  try {
    for (const gpus of values.gpus.split(',').map(Number)) {
      process.stderr.write(`${gpus} GPUs …\n`);
      await farm.growTo(gpus);
      await delay(3000);
      const load = { modelId: MODEL_ID, requestsPerSecond: Number(values.rate), seconds, frames: FRAMES };
      await sendRequests(calls, { ...load, seconds: 1 });
      const idle = await observe(redis, farm.pids, () => delay(seconds * 500));
      let outcome: LoadOutcome | undefined;
      const loaded = await observe(redis, farm.pids, async () => {
        outcome = await sendRequests(calls, load);
      });
      if (outcome) steps.push({ gpus, idle, loaded, outcome });
      if (values.commands) printCommands(gpus, idle, loaded);
    }
  } finally {
    calls.close();
    redis.disconnect();
  }
  const rows = steps.map((step) => rowOf(step, frameMs));
  print(rows);
  await saveFigures('scale', { frameMs, rate: Number(values.rate), rows });
}

/** All figures of a step, by name. Costs of a frame are those under load without those at rest. */
function rowOf({ gpus, idle, loaded, outcome }: Step, frameMs: number) {
  const frames = outcome.latenciesMs.length * FRAMES;
  const addedMs = outcome.latenciesMs.map((ms) => ms - FRAMES * frameMs);
  const perFrame = (of: (seen: Observation) => number) =>
    (of(loaded) - (of(idle) * loaded.seconds) / idle.seconds) / frames;
  const cpu = (seen: Observation, kind: RegExp) =>
    [...seen.cpuMs].reduce((sum, [name, ms]) => (kind.test(name) ? sum + ms : sum), 0);
  const idleShare = (kind: RegExp) => (100 * cpu(idle, kind)) / (1000 * idle.seconds);
  return {
    GPUs: gpus,
    'at rest: Redis commands/s': idle.commandCount / idle.seconds,
    'at rest: Redis commands/s, a GPU': idle.commandCount / idle.seconds / gpus,
    'at rest: Redis in + out, KB/s': (idle.bytesIn + idle.bytesOut) / 1000 / idle.seconds,
    'at rest: CPU of Redis, % of a core': idleShare(/^redis$/),
    'at rest: CPU of a front end, %': idleShare(/^api$/),
    'at rest: CPU of a GPU worker, %': idleShare(/^gpus-/) / gpus,
    'jobs/s': outcome.latenciesMs.length / loaded.seconds,
    'frames/s': frames / loaded.seconds,
    'failed requests': [...outcome.failures.values()].reduce((sum, count) => sum + count, 0),
    'added to the GPU, p50 ms': quantile(addedMs, 0.5),
    'added to the GPU, p99 ms': quantile(addedMs, 0.99),
    'Redis commands a frame': perFrame((seen) => seen.commandCount),
    'Redis in, bytes a frame': perFrame((seen) => seen.bytesIn),
    'Redis out, bytes a frame': perFrame((seen) => seen.bytesOut),
    'CPU of Redis, ms a frame': perFrame((seen) => cpu(seen, /^redis$/)),
    'CPU of the front end, ms a frame': perFrame((seen) => cpu(seen, /^api$/)),
    'CPU of GPU workers, ms a frame': perFrame((seen) => cpu(seen, /^gpus-/)),
    'connections to Redis, a GPU': loaded.connections / gpus,
    'Redis, MB': loaded.redisMb,
  };
}

function print(rows: readonly ReturnType<typeof rowOf>[]): void {
  const [first] = rows;
  if (!first) return;
  for (const name of Object.keys(first) as (keyof typeof first)[]) {
    const cells = rows.map((row) => (Number.isFinite(row[name]) ? figure(row[name]) : '–').padStart(10));
    process.stdout.write(`${name.padEnd(38)}${cells.join('')}\n`);
  }
}

function printCommands(gpus: number, idle: Observation, loaded: Observation): void {
  const top = (seen: Observation) =>
    [...seen.commands]
      .sort(([, a], [, b]) => b - a)
      .slice(0, 12)
      .map(([name, calls]) => `${name} ${(calls / seen.seconds).toFixed(0)}`)
      .join(', ');
  process.stdout.write(`${gpus} GPUs, commands/s: at rest ${top(idle)}\n  under load ${top(loaded)}\n`);
}

await main();
