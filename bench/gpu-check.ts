import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { buildBenchModels } from '../avatars/bench/build.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { whyUnavailable } from '../worker/onnx/execution-providers.ts';
import { saveFigures } from './figures.ts';
import { MACHINE } from './harness/machine.ts';
import {
  type BatchTiming,
  type CheckOptions,
  checkProvider,
  cpuOutputs,
  type ProviderCheck,
} from './provider-check.ts';
import type { Spread } from './spread.ts';

/**
 * `npm run gpu:check`: what each execution provider does on this machine, with networks of a trained avatar's size.
 * Prints provider, device, where the nodes ran, the difference to the CPU, and milliseconds a frame beside bare ONNX
 * Runtime; writes bench/out/gpu-check.json. `node bench/gpu-check.ts` does the same where npm cannot run: it needs
 * nothing but Node 24 and onnxruntime-node. Exit code 1 when no provider could be checked.
 */

const BATCHES = [1, 8, 25];
/** One step of 255: what a difference must reach to be seen. */
const VISIBLE = 1 / 255;

type Outcome = ProviderCheck | { readonly provider: string; readonly reason: string };

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      providers: { type: 'string', default: 'cuda,webgpu,cpu' },
      size: { type: 'string', default: '320' },
      rounds: { type: 'string', default: '10' },
      'budget-s': { type: 'string', default: '60' },
    },
  });
  const size = values.size === '160' ? 160 : 320;
  const paths = await buildBenchModels(size);
  const threads = { intraOp: availableParallelism(), interOp: 1 };
  const budgetMs = 1000 * Number(values['budget-s']);
  const options: CheckOptions = { batches: BATCHES, rounds: Number(values.rounds), budgetMs, threads };
  process.stdout.write(`${MACHINE}; network ${size}², 12.2 M parameters; milliseconds a frame, median (min … max)\n`);
  const expected = await cpuOutputs(paths, threads);
  const outcomes: Outcome[] = [];
  for (const provider of values.providers.split(',')) {
    const outcome = await attempt(provider, () => checkProvider(provider, paths, expected, options));
    outcomes.push(outcome);
    process.stdout.write(`\n${describe(outcome)}\n`);
  }
  await saveFigures('gpu-check', { size, outcomes });
  if (outcomes.every((outcome) => 'reason' in outcome)) process.exitCode = 1;
}

async function attempt(provider: string, check: () => Promise<ProviderCheck>): Promise<Outcome> {
  const reason = whyUnavailable(provider);
  if (reason !== undefined) return { provider, reason };
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof FarmError)) throw error;
    return { provider, reason: error.message };
  }
}

function describe(outcome: Outcome): string {
  if ('reason' in outcome) return `✗ ${outcome.provider}\n  could not run: ${outcome.reason}`;
  const { provider, device, nodes, warmUpMs, generatorError, encoderError, timings } = outcome;
  const ran = Object.entries(nodes).map(([name, count]) => `${count} on ${name}`);
  const differs = Math.max(generatorError, encoderError) <= VISIBLE ? '' : '  ← more than one step of 255';
  return [
    `✓ ${provider}   ${device}`,
    `  first run        ${warmUpMs.toFixed(1)} ms; nodes ${ran.join(', ') || 'all on the CPU'}`,
    `  beside the CPU   max abs error ${error(generatorError)} (pictures), ${error(encoderError)} (features)${differs}`,
    ...timings.map(describeTiming),
  ].join('\n');
}

function describeTiming({ batch, framesPerRun, farm, bare, none }: BatchTiming): string {
  const name = `  batch ${batch}`.padEnd(19);
  if (farm === undefined || bare === undefined) return `${name}not measured: ${none}`;
  const each = ({ median, min, max }: Spread) => `${median.toFixed(2)} (${min.toFixed(2)} … ${max.toFixed(2)})`;
  const runs = `runs of ${framesPerRun}`;
  return `${name}${each(farm).padEnd(28)} bare ONNX Runtime ${each(bare).padEnd(28)} ${runs}`;
}

function error(value: number): string {
  return value === 0 ? '0' : value.toExponential(1);
}

await main();
