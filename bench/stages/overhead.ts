import { availableParallelism } from 'node:os';
import path from 'node:path';
import { LocalArtifacts } from '../../shared/artifacts.ts';
import { resolveModel } from '../../shared/config/model-config.ts';
import { modelSchema } from '../../shared/config/schema.ts';
import type { LiveJob } from '../../shared/jobs.ts';
import { lineInThisThread } from '../../worker/engine/frame-outputs.ts';
import { completing } from '../../worker/engine/frame-parts.ts';
import { LiveRenderer } from '../../worker/engine/live-renderer.ts';
import { Turns } from '../../worker/engine/turns.ts';
import { loadAlone } from '../../worker/models/loaded-model.ts';
import { startBenchFarm } from '../bench-farm.ts';
import { type CheapAvatar, writeCheapAvatar } from '../cheap-avatar.ts';
import { GrpcCalls } from '../grpc-calls.ts';
import { quantile, type Row, row, type Stage } from '../harness/contract.ts';

/**
 * What the way through the farm adds to a request. The same 24 frames (a) by the pipeline in
 * this process, (b) by a unary gRPC call: front end → Redis → worker → Redis → front end, (c) by a gRPC stream. The
 * networks are the cheapest that are real, the three take turns, and the differences to (a) are taken round by round.
 */

const ROUNDS = 150;
/** No further round begins after this, once there are some. */
const WITHIN_MS = 25_000;
const FEWEST_ROUNDS = 20;
const WARM_UP_ROUNDS = 20;
const FRAME_COUNT = 24;
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

export const stage: Stage = {
  about: 'what the way through the farm adds to 24 frames, beside an empty gRPC call',
  limitS: 60,
  async measure() {
    let entry: CheapAvatar | undefined;
    await using farm = await startBenchFarm(async (folder) => {
      entry = await writeCheapAvatar(path.join(folder, 'avatar'));
      return { models: { [MODEL_ID]: entry } };
    });
    if (!entry) throw new Error('The farm started without its avatar');
    const calls = new GrpcCalls(farm.grpcAddress);
    try {
      const inProcess = await startInProcess(entry, FRAME_COUNT);
      const audio = speechLike(FRAME_COUNT * SAMPLES_PER_FRAME);
      const rounds: Round[] = [];
      const endsAt = performance.now() + WITHIN_MS;
      for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round++) {
        if (round >= FEWEST_ROUNDS && performance.now() > endsAt) break;
        const measured = await measureRound(inProcess, calls, audio, FRAME_COUNT);
        if (round >= 0) rounds.push(measured);
      }
      return rowsOf(rounds);
    } finally {
      calls.close();
    }
  },
};

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
  const preparing = { folder: path.join(path.dirname(entry.model_path), 'prepared'), quality: 75, processes: 0 };
  const roots = { configDir: '/', modelsRoot: '', audioEncoderPath: '' };
  const configured = resolveModel(MODEL_ID, modelSchema.parse(entry), roots);
  const threads = { intraOp: availableParallelism(), interOp: 1 };
  const model = await loadAlone({ entry: configured, providers: ['cpu'], threads, cachedFrames: 8, preparing });
  const renderer = new LiveRenderer(new Turns(), { maxFrames: 8, maxWaitMs: 0 });
  const line = lineInThisThread(new LocalArtifacts('/nowhere'));
  let lastTaskId = 0;
  return async (audio: Float32Array) => {
    const job = {
      requestId: 'in-process',
      modelId: MODEL_ID,
      frames: { start: 0, end: frameCount },
      startFrameIndex: 0,
      form: { kind: 'jpeg', quality: JPEG_QUALITY } as const,
    };
    const sound: Pick<LiveJob, 'totalSamples' | 'firstSample' | 'rowsAhead'> = {
      totalSamples: audio.length,
      firstSample: 0,
      rowsAhead: 7,
    };
    const given = {
      audio: new Uint8Array(audio.buffer.slice(0)),
      visualFrames: new Uint8Array(),
      visualForm: 'floats' as const,
      audioFeatures: new Uint8Array(),
    };
    const task = { ...job, ...sound, ...given };
    const frames = { kind: 'live', form: task.form } as const;
    const output = line.open(++lastTaskId, frames);
    const { signal } = new AbortController();
    const complete = completing(frames, model, signal);
    await renderer.render(task, model, signal, (frame) => output.write(complete(frame)));
    await output.whenSent();
    await output.close();
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

function rowsOf(rounds: readonly Round[]): Row[] {
  const ms = (name: string, pick: (round: Round) => number) => row({ name, unit: 'ms', values: rounds.map(pick) });
  const emptyCalls = rounds.map((round) => round.emptyCallMs);
  const addedToEmpty = (share: number, pick: (round: Round) => number) =>
    quantile(rounds.map(pick), share) / quantile(emptyCalls, share);
  const unary = (round: Round) => round.unaryMs - round.inProcessMs;
  const stream = (round: Round) => round.streamMs - round.inProcessMs;
  const ratio = (name: string, value: number, atMost: number) =>
    row({ name, unit: '× empty call', values: [value], atMost });
  return [
    ratio('unary, added p50', addedToEmpty(0.5, unary), 2),
    ratio('unary, added p99', addedToEmpty(0.99, unary), 3),
    ratio('stream, added p50', addedToEmpty(0.5, stream), 2),
    ratio('stream, added p99', addedToEmpty(0.99, stream), 3),
    ms('added by unary gRPC', unary),
    ms('added by a gRPC stream', stream),
    ms('(a) pipeline in process', (round) => round.inProcessMs),
    ms('(b) unary', (round) => round.unaryMs),
    ms('(c) stream', (round) => round.streamMs),
    ms('of (b), work in the pipeline', (round) => round.workMs),
    ms('of (b), front end, queue, thread, frames back', (round) => round.frontMs - round.workMs),
    ms('of (b), gRPC to the client', (round) => round.unaryMs - round.frontMs),
    ms('an empty gRPC call', (round) => round.emptyCallMs),
  ];
}
