import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startBenchFarm } from './bench-farm.ts';
import { MACHINE, saveFigures } from './figures.ts';
import { GrpcCalls } from './grpc-calls.ts';
import { type Spread, spread } from './spread.ts';

/**
 * `npm run bench:giving-way`: how long a live request of one frame takes while nothing else runs and while a render
 * fills the GPU, and what a network batch of that render takes: the wait may grow by one of these. Rounds of both kinds
 * alternate. Writes bench/out/giving-way.json.
 */

const SAMPLE_SPEECH = fileURLToPath(new URL('../avatars/demo/sample-speech.wav', import.meta.url));
const MODEL_ID = 'demo';
const SECOND = Buffer.alloc(16_000 * Float32Array.BYTES_PER_ELEMENT);
const REQUESTS_A_ROUND = 10;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' } } });
  // One long segment: nothing but giving way lets a live request in.
  await using farm = await startBenchFarm(() => ({ render: { segment_frames: 10_000 } }));
  const calls = new GrpcCalls(farm.grpcAddress);
  try {
    const ask = async (): Promise<number> => {
      const startedAt = performance.now();
      await calls.infer(MODEL_ID, SECOND, 1);
      return performance.now() - startedAt;
    };
    const idle: number[] = [];
    const beside: number[] = [];
    const batchMs: number[] = [];
    for (let warmUp = 0; warmUp < REQUESTS_A_ROUND; warmUp++) await ask();
    for (let round = 0; round < Number(values.rounds); round++) {
      for (let n = 0; n < REQUESTS_A_ROUND; n++) idle.push(await ask());
      const { id } = await farm.client.submit(SAMPLE_SPEECH);
      for await (const view of farm.client.watch(id)) if (view.frames.done > 0) break;
      for (let n = 0; n < REQUESTS_A_ROUND; n++) beside.push(await ask());
      const view = await farm.client.get(id);
      if (view.status !== 'rendering') throw new Error(`The render was ${view.status} before the requests were`);
      const { stages = {} } = (await farm.client.finished(id)).timings_ms;
      const { visual_input = 0, inference = 0, composite = 0 } = stages as Record<string, number>;
      batchMs.push(((visual_input + inference + composite) / (view.frames.total ?? 1)) * BATCH_FRAMES);
    }
    await report(spread(idle), spread(beside), spread(batchMs));
  } finally {
    calls.close();
  }
}

/** The default of render.batch_frames. */
const BATCH_FRAMES = 4;

async function report(idle: Spread, beside: Spread, batchMs: Spread): Promise<void> {
  const row = (name: string, { median, p95, max }: Spread) =>
    `  ${name.padEnd(46)}${[median, p95, max].map((ms) => ms.toFixed(1).padStart(9)).join('')}`;
  process.stdout.write(
    [
      `${MACHINE}; milliseconds`,
      `${' '.repeat(48)}${['p50', 'p95', 'max'].map((name) => name.padStart(9)).join('')}`,
      row('a live request of one frame, alone', idle),
      row('the same while a render fills the GPU', beside),
      row(`a batch of that render (${BATCH_FRAMES} frames)`, batchMs),
      `  added, p50: ${(beside.median - idle.median).toFixed(1)} ms`,
      '',
    ].join('\n'),
  );
  await saveFigures('giving-way', { idleMs: idle, besideMs: beside, batchMs });
}

await main();
