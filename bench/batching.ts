import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { buildBenchModels } from '../avatars/bench/build.ts';
import { LiveBatches } from '../worker/engine/live-batches.ts';
import { Turns } from '../worker/engine/turns.ts';
import { OnnxLipSyncNetwork } from '../worker/onnx/lip-sync-network.ts';
import { AUDIO_INPUT_FLOATS, type AvatarFrames, type FrameInputs } from '../worker/pipeline/contract.ts';
import { noTimings } from '../worker/pipeline/stage-timings.ts';
import { MACHINE, saveFigures } from './figures.ts';
import { spread } from './spread.ts';

/**
 * `npm run bench:batching`: 1, 2, 4 and 8 concurrent streams on one network of a trained avatar's size, each frame in a
 * run of its own or shared runs. Every stream asks for its frames as fast as it gets them, so the network is always
 * busy. Prints frames/s and how long a frame takes from being asked for to being there; writes bench/out/batching.json.
 */

const STREAMS = [1, 2, 4, 8];
const PICTURE = { width: 1280, height: 720 };
const RECT = { x1: 549, y1: 240, x2: 731, y2: 422 };

interface Figures {
  readonly framesPerSecond: number;
  readonly frameMs: readonly number[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      provider: { type: 'string', default: 'cpu' },
      size: { type: 'string', default: '160' },
      batch: { type: 'string', default: '8' },
      frames: { type: 'string', default: '16' },
      rounds: { type: 'string', default: '5' },
    },
  });
  const { generatorPath } = await buildBenchModels(values.size === '320' ? 320 : 160);
  const threads = { intraOp: availableParallelism(), interOp: 1 };
  const batch = Number(values.batch);
  const network = await OnnxLipSyncNetwork.open(generatorPath, { providers: [values.provider], threads }, batch);
  process.stdout.write(`${MACHINE}; network ${network.size}² on ${network.provider.provider}, runs of 1 or ${batch}\n`);
  const table: object[] = [];
  for (const streams of STREAMS) {
    const alone: Figures[] = [];
    const shared: Figures[] = [];
    // Side by side, round by round; the first round warms up.
    for (let round = 0; round <= Number(values.rounds); round++) {
      const one = await measure(network, 1, streams, Number(values.frames));
      const many = await measure(network, batch, streams, Number(values.frames));
      if (round === 0) continue;
      alone.push(one);
      shared.push(many);
    }
    table.push({ streams, alone: summary(alone), shared: summary(shared) });
    print(streams, summary(alone), summary(shared), batch);
  }
  await network.release();
  await saveFigures('batching', { provider: network.provider.provider, size: network.size, batch, table });
}

async function measure(
  network: OnnxLipSyncNetwork,
  maxFrames: number,
  streams: number,
  frames: number,
): Promise<Figures> {
  const batches = new LiveBatches(network, new Turns(), { maxFrames, maxWaitMs: 0 });
  const { signal } = new AbortController();
  const frameMs: number[] = [];
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: streams }, async (_, stream) => {
      const askedAt: number[] = [];
      const onFrame = ({ frameIndex }: { frameIndex: number }) =>
        frameMs.push(performance.now() - (askedAt[frameIndex] ?? startedAt));
      await batches.render({ inputs: frameInputs(frames, askedAt), source: `stream ${stream}`, signal, onFrame });
    }),
  );
  return { framesPerSecond: (1000 * streams * frames) / (performance.now() - startedAt), frameMs };
}

/** Inputs that cost nothing to gather, and when each was asked for. */
async function* frameInputs(count: number, askedAt: number[]): AsyncGenerator<FrameInputs> {
  const background = { ...PICTURE, data: new Uint8Array(PICTURE.width * PICTURE.height * 3) };
  const avatar: AvatarFrames = { ...PICTURE, frameCount: 1, rect: () => RECT, background: async () => background };
  const audioInput = new Float32Array(AUDIO_INPUT_FLOATS);
  for (let frameIndex = 0; frameIndex < count; frameIndex++) {
    askedAt[frameIndex] = performance.now();
    yield {
      ...{ frameIndex, wanted: true, avatar, backgroundIndex: 0, background, audioInput, visualInput: undefined },
      timings: noTimings(),
    };
  }
}

function summary(rounds: readonly Figures[]) {
  const { median: framesPerSecond, min, max } = spread(rounds.map((round) => round.framesPerSecond));
  const { median: frameMs, p95: frameMsP95 } = spread(rounds.flatMap((round) => round.frameMs));
  return { framesPerSecond, min, max, frameMs, frameMsP95 };
}

function print(streams: number, alone: ReturnType<typeof summary>, shared: typeof alone, batch: number): void {
  const line = (name: string, { framesPerSecond, min, max, frameMs, frameMsP95 }: typeof alone) => {
    const rate = `${framesPerSecond.toFixed(1)} frames/s (${min.toFixed(1)} … ${max.toFixed(1)})`;
    return `  ${name.padEnd(12)}${rate.padEnd(34)}a frame takes ${frameMs.toFixed(0)} ms, p95 ${frameMsP95.toFixed(0)}\n`;
  };
  process.stdout.write(`${streams} stream${streams === 1 ? '' : 's'}\n`);
  process.stdout.write(line('runs of 1', alone) + line(`runs of ${batch}`, shared));
}

await main();
