import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { NodeFarmClient } from '../client/node/farm-client.ts';
import { workerConnection } from '../shared/redis/connections.ts';
import { saveFigures } from './figures.ts';
import { GrpcCalls } from './grpc-calls.ts';
import { busyWarning, MACHINE, machineState } from './harness/machine.ts';
import { figure } from './harness/table.ts';
import { type LoadOutcome, type LoadTools, meetWorkers, sendRequests, submitRenders, talk } from './scale/loads.ts';
import { type Observation, observe } from './scale/observation.ts';
import { MODEL_ID, ScaleFarm } from './scale/scale-farm.ts';
import { atRest, type Figures, underLoad } from './scale/scale-figures.ts';

/**
 * `npm run bench:scale -- [--gpus 8,32,128,512] [--frame-ms 2.5] [--seconds 6]`: the same load on farms of more and more
 * GPUs. Redis, queues, dispatcher, leases, heartbeats, frame channel, front end and media worker are the real ones, and so
 * is the main thread of each GPU worker; in place of the pipeline a thread waits as long as a GPU would take. Up to 32
 * workers share a process. Prints what the farm costs at rest and under each load: what grows from column to column
 * bends. Writes bench/out/scale.json.
 */

/** All farms together. One that would take longer than what is left, judging by the one before, is left out. */
const WITHIN_MS = 8 * 60_000;
/** A farm of four times as many GPUs takes longer to start by so much, at most. */
const GROWS_BY = 2;
const SETTLE_MS = 3000;

interface Column {
  readonly gpus: number;
  readonly figures: Figures;
}

interface Options {
  readonly frameMs: number;
  readonly seconds: number;
  readonly loads: readonly (readonly [name: string, run: (tools: LoadTools) => Promise<LoadOutcome>])[];
  readonly showCommands: boolean;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      gpus: { type: 'string', default: '8,32,128,512' },
      'frame-ms': { type: 'string', default: '2.5' },
      seconds: { type: 'string', default: '6' },
      requests: { type: 'string', default: '8' },
      streams: { type: 'string', default: '8' },
      'piece-ms': { type: 'string', default: '40' },
      renders: { type: 'string', default: '0.5' },
      commands: { type: 'boolean', default: false },
    },
  });
  const state = await machineState();
  process.stdout.write(`${MACHINE}, load ${state.load.toFixed(1)}\n${busyWarning(state) ?? ''}\n`);
  const options: Options = {
    ...{ frameMs: Number(values['frame-ms']), seconds: Number(values.seconds), showCommands: values.commands },
    loads: [
      [`${values.requests} requests/s of 24 frames`, (tools) => sendRequests(tools, Number(values.requests))],
      [
        `${values.streams} streams, sound in pieces of ${values['piece-ms']} ms`,
        (tools) => talk(tools, Number(values.streams), Number(values['piece-ms'])),
      ],
      [`${values.renders} renders/s of 9.3 s`, (tools) => submitRenders(tools, Number(values.renders))],
    ],
  };
  const columns = await measureFarms(values.gpus.split(',').map(Number), options);
  print(columns);
}

async function measureFarms(sizes: readonly number[], options: Options): Promise<Column[]> {
  const endsAt = performance.now() + WITHIN_MS;
  await using farm = await ScaleFarm.start(options.frameMs);
  const stop = () => farm[Symbol.asyncDispose]().finally(() => process.exit(1));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stop());
  const redis = workerConnection(farm.redis.url);
  const calls = new GrpcCalls(farm.grpcAddress);
  const columns: Column[] = [];
  let lastMs = 0;
  try {
    for (const gpus of sizes) {
      const startedAt = performance.now();
      if (startedAt + GROWS_BY * lastMs > endsAt) {
        process.stderr.write(`${gpus} GPUs left out: there is no time for them\n`);
        break;
      }
      const strangers = gpus - farm.gpuCount;
      await farm.growTo(gpus);
      const tools = { calls, client: new NodeFarmClient(farm.httpUrl), modelId: MODEL_ID, ...options };
      await delay(SETTLE_MS);
      const seen = (during: () => Promise<void>) => observe(redis, farm.pids, during);
      const meeting = [
        'GPUs met, one request of one frame each',
        (given: LoadTools) => meetWorkers(given, { gpus, strangers }),
      ] as const;
      const loads = [meeting, ...options.loads];
      columns.push({ gpus, figures: await measureFarm(gpus, tools, { ...options, loads }, seen) });
      lastMs = performance.now() - startedAt;
      process.stderr.write(`${gpus} GPUs: ${(lastMs / 1000).toFixed(0)} s\n`);
      await saveFigures('scale', { frameMs: options.frameMs, columns });
    }
  } finally {
    calls.close();
    redis.disconnect();
  }
  return columns;
}

async function measureFarm(
  gpus: number,
  tools: LoadTools,
  { seconds, loads, showCommands }: Options,
  seen: (during: () => Promise<void>) => Promise<Observation>,
): Promise<Figures> {
  const rest = await seen(() => delay(seconds * 1000));
  if (showCommands) printCommands('at rest', rest);
  const figures: Figures = { ...atRest(rest, gpus) };
  for (const [name, run] of loads) {
    let outcome: LoadOutcome | undefined;
    const loaded = await seen(async () => {
      outcome = await run(tools);
    });
    if (!outcome) continue;
    if (showCommands) printCommands(name, loaded);
    for (const [why, count] of outcome.failures) process.stderr.write(`  ${name}: ${count} failed: ${why}\n`);
    Object.assign(figures, underLoad(name, { rest, loaded, outcome }));
  }
  return figures;
}

function print(columns: readonly Column[]): void {
  const heads = columns.map(({ gpus }) => `${gpus} GPUs`.padStart(10)).join('');
  process.stdout.write(`${''.padEnd(62)}${heads}\n`);
  for (const name of Object.keys(columns[0]?.figures ?? {})) {
    const cells = columns.map(({ figures }) => {
      const value = figures[name];
      return (value === undefined || value === null || !Number.isFinite(value) ? '–' : figure(value)).padStart(10);
    });
    process.stdout.write(`${name.padEnd(62)}${cells.join('')}\n`);
  }
}

function printCommands(when: string, { commands, seconds }: Observation): void {
  const most = [...commands].sort(([, a], [, b]) => b - a).slice(0, 15);
  const rates = most.map(([name, calls]) => `${name} ${(calls / seconds).toFixed(0)}`);
  process.stdout.write(`  commands/s ${when}: ${rates.join(', ')}\n`);
}

await main();
