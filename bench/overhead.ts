import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { resolveModel } from '../shared/config/model-config.ts';
import { modelSchema } from '../shared/config/schema.ts';
import type { LiveJob } from '../shared/jobs.ts';
import { FrameBuffers } from '../worker/engine/frame-buffers.ts';
import { LiveRenderer } from '../worker/engine/live-renderer.ts';
import { Turns } from '../worker/engine/turns.ts';
import { encodeJpeg } from '../worker/media/jpeg.ts';
import { loadAlone } from '../worker/models/loaded-model.ts';
import { startBenchFarm } from './bench-farm.ts';
import { type CheapAvatar, writeCheapAvatar } from './cheap-avatar.ts';
import { MACHINE, saveFigures } from './figures.ts';
import { GrpcCalls } from './grpc-calls.ts';
import { type Spread, spread } from './spread.ts';

/**
 * `npm run bench:overhead`: what the way through the farm adds to a request. The same 24 frames (a) by the pipeline in
 * this process, (b) by a unary gRPC call: front end → Redis → worker → Redis → front end, (c) by a gRPC stream. The
 * networks are the cheapest that are real, the three take turns, and the differences to (a) are taken round by round.
 * Prints p50, p95 and p99 and where the time of (b) goes; writes bench/out/overhead.json.
 */

const WARM_UP_ROUNDS = 20;
const SAMPLES_PER_FRAME = 640;
const JPEG_QUALITY = 75;
const MODEL_ID = 'cheap';

interface Round {
  readonly inProcessMs: number;
  readonly unaryMs: number;
  readonly streamMs: number;
  /** Of the unary call, as its answer says: work of the worker, and all of the front end's time. */
  readonly workMs: number;
  readonly frontMs: number;
  /** A gRPC call that does nothing: the standard health check. */
  readonly emptyCallMs: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '200' }, frames: { type: 'string', default: '24' } },
  });
  const frameCount = Number(values.frames);
  let entry: CheapAvatar | undefined;
  await using farm = await startBenchFarm(async (folder) => {
    entry = await writeCheapAvatar(path.join(folder, 'avatar'));
    return { models: { [MODEL_ID]: entry } };
  });
  if (!entry) throw new Error('The farm started without its avatar');
  const calls = new GrpcCalls(farm.grpcAddress);
  try {
    const inProcess = await startInProcess(entry, frameCount);
    const audio = speechLike(frameCount * SAMPLES_PER_FRAME);
    const rounds: Round[] = [];
    for (let round = -WARM_UP_ROUNDS; round < Number(values.rounds); round++) {
      const measured = await measureRound(inProcess, calls, audio, frameCount);
      if (round >= 0) rounds.push(measured);
    }
    await report(rounds, frameCount);
  } finally {
    calls.close();
  }
}

async function measureRound(
  inProcess: (audio: Float32Array) => Promise<void>,
  calls: GrpcCalls,
  audio: Float32Array,
  frameCount: number,
): Promise<Round> {
  const bytes = Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength);
  const [inProcessMs] = await timed(() => inProcess(audio));
  const [unaryMs, answer] = await timed(() => calls.infer(MODEL_ID, bytes, frameCount));
  const [streamMs, frames] = await timed(() => calls.stream(MODEL_ID, bytes, frameCount));
  const [emptyCallMs] = await timed(() => calls.health());
  if (frames < frameCount || answer.frames !== frameCount) throw new Error(`Got ${answer.frames} and ${frames} frames`);
  return { inProcessMs, unaryMs, streamMs, emptyCallMs, workMs: answer.workMs, frontMs: answer.totalMs };
}

/** The worker's own code for a live request, without thread, queue and network. */
async function startInProcess(entry: CheapAvatar, frameCount: number) {
  const roots = { configDir: '/', modelsRoot: '', audioEncoderPath: '' };
  const configured = resolveModel(MODEL_ID, modelSchema.parse(entry), roots);
  const threads = { intraOp: availableParallelism(), interOp: 1 };
  const model = await loadAlone({ entry: configured, providers: ['cpu'], threads, cachedFrames: 8 });
  const buffers = new FrameBuffers();
  const renderer = new LiveRenderer(new Turns(), { maxFrames: 8, maxWaitMs: 0 }, (bytes) => buffers.take(bytes));
  return async (audio: Float32Array) => {
    const job = {
      requestId: 'in-process',
      modelId: MODEL_ID,
      frames: { start: 0, end: frameCount },
      startFrameIndex: 0,
    };
    const sound: Pick<LiveJob, 'totalSamples' | 'firstSample' | 'rowsAhead'> = {
      totalSamples: audio.length,
      firstSample: 0,
      rowsAhead: 7,
    };
    const given = {
      audio: new Uint8Array(audio.buffer.slice(0)),
      visualFrames: new Uint8Array(),
      audioFeatures: new Uint8Array(),
    };
    const encoded: Promise<Buffer>[] = [];
    const { signal } = new AbortController();
    await renderer.render({ ...job, ...sound, ...given }, model, signal, ({ image }) => {
      encoded.push(encodeJpeg(image, JPEG_QUALITY).finally(() => buffers.giveBack(image.data)));
    });
    await Promise.all(encoded);
  };
}

async function timed<T>(work: () => Promise<T>): Promise<[ms: number, result: T]> {
  const startedAt = performance.now();
  const result = await work();
  return [performance.now() - startedAt, result];
}

/** Deterministic sound with something in every band. */
function speechLike(samples: number): Float32Array {
  return Float32Array.from({ length: samples }, (_, i) => 0.3 * Math.sin(i * 0.05) * Math.sin(i * 0.0007) ** 2);
}

async function report(rounds: readonly Round[], frameCount: number): Promise<void> {
  const of = (pick: (round: Round) => number) => spread(rounds.map(pick));
  const figures = {
    frames: frameCount,
    rounds: rounds.length,
    addedByUnaryMs: of((round) => round.unaryMs - round.inProcessMs),
    addedByStreamMs: of((round) => round.streamMs - round.inProcessMs),
    inProcessMs: of((round) => round.inProcessMs),
    unaryMs: of((round) => round.unaryMs),
    streamMs: of((round) => round.streamMs),
    unaryWorkMs: of((round) => round.workMs),
    unaryFarmMs: of((round) => round.frontMs - round.workMs),
    unaryGrpcMs: of((round) => round.unaryMs - round.frontMs),
    emptyCallMs: of((round) => round.emptyCallMs),
  };
  const row = (name: string, { median, p95, p99 }: Spread) =>
    `  ${name.padEnd(52)}${[median, p95, p99].map((ms) => ms.toFixed(2).padStart(9)).join('')}`;
  process.stdout.write(
    [
      `${MACHINE}; ${frameCount} frames a request, ${rounds.length} rounds; milliseconds`,
      `${' '.repeat(54)}${['p50', 'p95', 'p99'].map((name) => name.padStart(9)).join('')}`,
      row('added by unary gRPC → Redis → worker → back', figures.addedByUnaryMs),
      row('added by a gRPC stream', figures.addedByStreamMs),
      'in all',
      row('(a) pipeline in process', figures.inProcessMs),
      row('(b) unary', figures.unaryMs),
      row('(c) stream', figures.streamMs),
      'where the time of (b) goes',
      row('work in the pipeline (as the answer says)', figures.unaryWorkMs),
      row('front end, queue, thread, frames back', figures.unaryFarmMs),
      row('gRPC between client and front end', figures.unaryGrpcMs),
      row('for comparison: an empty gRPC call', figures.emptyCallMs),
      '',
    ].join('\n'),
  );
  await saveFigures('overhead', figures);
}

await main();
