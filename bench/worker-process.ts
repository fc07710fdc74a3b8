import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { PipelineThread as Threads } from '../worker/engine/pipeline-thread.ts';
import type { LiveTask, PipelineThreadSettings } from '../worker/engine/thread-protocol.ts';
import type { AllocationOrder } from './allocations.ts';

/**
 * The threads of a GPU worker, without Redis, in a process of their own: `node worker-process.ts --root R --model JSON`.
 * The threads are those of the build in the folder R; the model is an entry of `models:`. The parent asks for a round of
 * so many frames, which are written as JPEG files, and is told what it took.
 */

/**
 * What the parent asks for: frames of a render, written as JPEG files, or of live requests, handed to the main thread: as
 * JPEGs of the quality that the pictures are prepared for, of another one, or as pixels.
 */
export interface RoundWanted {
  readonly kind: 'render' | 'live' | 'live, other quality' | 'live, raw';
  readonly frames: number;
  /** Folder for profiles of what the threads allocate in this round; needs `allocation-sampler.ts` in them. */
  readonly allocationsTo?: string;
}

export interface RoundDone {
  readonly ms: number;
  /** Of all threads of the process. */
  readonly cpuMs: number;
  /** Milliseconds in each stage. */
  readonly stages: Readonly<Record<string, number>>;
}

const MODEL_ID = 'bench';
const ORDER_MS = 500;
const SAMPLES_PER_FRAME = 640;
const QUALITY = 75;
/** Frames of a live request at most, and requests that are under way at once. */
const REQUEST_FRAMES = 32;
const AT_ONCE = 2;
const FORMS = {
  live: { kind: 'jpeg', quality: QUALITY },
  'live, other quality': { kind: 'jpeg', quality: QUALITY - 10 },
  'live, raw': { kind: 'raw' },
} as const;
const NEVER = new AbortController().signal;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { root: { type: 'string' }, model: { type: 'string' } } });
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-bench-worker-'));
  const threads = await startThreads(values.root ?? '', JSON.parse(values.model ?? ''), folder);
  await threads.load({ modelId: MODEL_ID }, NEVER);
  process.on('message', ({ kind, frames, allocationsTo }: RoundWanted) => {
    const round = () =>
      kind === 'render' ? renderedFrames(threads, folder, frames) : liveFrames(threads, FORMS[kind], frames);
    void (allocationsTo === undefined ? round() : sampled(allocationsTo, round)).then((done) => process.send?.(done));
  });
  process.once('disconnect', async () => {
    await threads.close();
    await rm(folder, { recursive: true, force: true });
    process.exit(0);
  });
  process.send?.('ready');
}

/** A round whose allocations all threads write to a folder. */
async function sampled(folder: string, round: () => Promise<RoundDone>): Promise<RoundDone> {
  const channel = new BroadcastChannel('allocations');
  const order = async (told: AllocationOrder) => {
    channel.postMessage(told);
    // Nobody answers: each thread does it at once.
    await sleep(ORDER_MS);
  };
  await order({ type: 'start' });
  const done = await round();
  await order({ type: 'write', folder });
  channel.close();
  return done;
}

async function startThreads(root: string, entry: object, storageRoot: string): Promise<Threads> {
  const load = (file: string) => import(pathToFileURL(path.join(root, file)).href);
  const { PipelineThread } = await load('worker/engine/pipeline-thread.ts');
  // An earlier build that is compared with this one has it in the other file.
  const { modelSchema } = await load('shared/config/model-entry.ts').catch(() => load('shared/config/schema.ts'));
  const { resolveModel } = await load('shared/config/model-config.ts');
  const roots = { configDir: '/', modelsRoot: '', audioEncoderPath: '' };
  const settings: PipelineThreadSettings = {
    providers: ['cpu'],
    threads: { intraOp: availableParallelism(), interOp: 1 },
    cachedFrames: 600,
    preparing: { folder: path.join(storageRoot, 'prepared'), quality: 75, processes: availableParallelism() },
    log: { processName: 'bench', level: 'error' },
    storageRoot,
    models: new Map([[MODEL_ID, resolveModel(MODEL_ID, modelSchema.parse(entry), roots)]]),
    limits: { maxModels: 1, maxBytes: 16e9, evictionPolicy: 'lru', idleTimeoutMs: 3.6e6 },
    liveBatches: { maxFrames: 8, maxWaitMs: 0 },
    stuck: { workMs: 60_000, loadMs: 300_000 },
  };
  const die = (cause: Error) => {
    throw cause;
  };
  return new PipelineThread(settings, { onDeath: die, onModels() {} });
}

async function renderedFrames(threads: Threads, storageRoot: string, frames: number): Promise<RoundDone> {
  const renderId = 'bench';
  const folder = path.join(storageRoot, 'renders', renderId);
  await mkdir(folder, { recursive: true });
  await writeFile(path.join(folder, 'audio.f32'), soundOf(frames));
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const { timings_ms } = await threads.render(
    {
      ...{ renderId, modelId: MODEL_ID, segmentIndex: 0, frames: { start: 0, end: frames }, totalFrames: frames },
      ...{ startFrameIndex: 0, batchFrames: 4, encoderBatchWindows: 32 },
      output: { kind: 'frames', jpegQuality: QUALITY },
    },
    NEVER,
    () => {},
  );
  const ms = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  await rm(path.join(folder, 'frames'), { recursive: true });
  return { ms, cpuMs: (user + system) / 1000, stages: { ...timings_ms } };
}

async function liveFrames(threads: Threads, form: LiveTask['form'], frames: number): Promise<RoundDone> {
  const stages: Record<string, number> = {};
  let left = frames;
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const client = async () => {
    for (; left > 0; ) {
      const wanted = Math.min(REQUEST_FRAMES, left);
      left -= wanted;
      const { timings, encodeMs } = await threads.live(liveTask(wanted, form), NEVER, (frames) => {
        for (const { giveBack } of frames) giveBack();
      });
      for (const [stage, ms] of Object.entries({ ...timings, encode: encodeMs })) {
        stages[stage] = (stages[stage] ?? 0) + ms;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  const ms = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  return { ms, cpuMs: (user + system) / 1000, stages };
}

function liveTask(frames: number, form: LiveTask['form']): LiveTask {
  const sound = soundOf(frames);
  return {
    ...{ requestId: randomUUID(), modelId: MODEL_ID, frames: { start: 0, end: frames }, startFrameIndex: 0 },
    ...{ totalSamples: sound.length, firstSample: 0, rowsAhead: 7, form },
    audio: new Uint8Array(sound.buffer),
    ...{ visualFrames: new Uint8Array(), visualForm: 'floats', audioFeatures: new Uint8Array() },
  };
}

function soundOf(frames: number): Float32Array {
  return Float32Array.from({ length: frames * SAMPLES_PER_FRAME }, (_, at) => Math.sin(at / 7) * Math.sin(at / 4000));
}

if (import.meta.main) await main();
