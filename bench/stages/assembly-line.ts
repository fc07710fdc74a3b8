import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import { buildDemoAvatar } from '../../avatars/demo/build.ts';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { resolveModel } from '../../shared/config/model-config.ts';
import { modelSchema } from '../../shared/config/model-entry.ts';
import { FrameLine } from '../../worker/engine/frame-line.ts';
import { lineInThisThread } from '../../worker/engine/frame-outputs.ts';
import { completing } from '../../worker/engine/frame-parts.ts';
import { LastingPools, mouthPool } from '../../worker/engine/memory-pool.ts';
import { type LoadedModel, loadAlone } from '../../worker/models/loaded-model.ts';
import { AUDIO_INPUT_FLOATS, type LipSyncNetwork, mouthBytes } from '../../worker/pipeline/contract.ts';
import { renderMouths } from '../../worker/pipeline/render-frames.ts';
import { noTimings } from '../../worker/pipeline/stage-timings.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';
import { inTurn, ratios } from '../harness/rounds.ts';

/**
 * What a GPU gains by the compositor's thread: the network is one that blocks its thread as long as a GPU would compute
 * and leaves the cores alone, and frames of 1280×720 become JPEGs in that thread, or in the compositor's.
 */

const COMPOSITOR = new URL('../../worker/engine/compositor-thread-main.ts', import.meta.url);
const FRAME_MS = 2;
const BATCH_FRAMES = 4;
const FRAMES = 64;
const ROUNDS = 9;
const NEVER = new AbortController().signal;

export const stage: Stage = {
  about: `frames of a simulated GPU of ${FRAME_MS} ms a frame, put together in its thread and in the compositor's`,
  limitS: 60,
  async measure() {
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-bench-'));
    await using opened = new AsyncDisposableStack();
    opened.defer(() => rm(folder, { recursive: true, force: true }));
    const model = await loadDemo(folder);
    opened.defer(() => model.release());
    const { line, compositor } = startCompositor(folder);
    opened.defer(async () => void (await compositor.terminate()));
    const here = lineInThisThread(new LocalArtifacts(folder));
    const timed = await inTurn(
      {
        network: () => renderTo(undefined, model),
        here: () => renderTo(here, model),
        apart: () => renderTo(line, model),
      },
      { rounds: ROUNDS, units: FRAMES },
    );
    return rowsOf(timed);
  },
};

function rowsOf({
  network,
  here,
  apart,
}: Record<'network' | 'here' | 'apart', { ms: number[]; cpuMs: number[] }>): Row[] {
  const times = (name: string, { ms, cpuMs }: { ms: number[]; cpuMs: number[] }) =>
    row({ name, unit: 'ms/frame', values: ms, cpuMs });
  return [
    times('mouths alone', network),
    times('JPEGs in the same thread', here),
    times('JPEGs in the compositor thread', apart),
    row({
      name: 'compositor thread to mouths alone',
      unit: 'ratio',
      values: ratios(apart.ms, network.ms),
      atMost: 1.1,
    }),
    row({ name: 'same thread to compositor thread', unit: 'ratio', values: ratios(here.ms, apart.ms) }),
  ];
}

async function loadDemo(folder: string): Promise<LoadedModel> {
  const { dir, generatorPath, encoderPath } = await buildDemoAvatar();
  const entry = {
    ...{ model_path: generatorPath, audio_encoder_path: encoderPath, preload_backgrounds: true },
    ...{ background_dir: path.join(dir, 'frames'), crop_rects_path: path.join(dir, 'crop_rects.json') },
  };
  const roots = { configDir: '/', modelsRoot: '', audioEncoderPath: '' };
  const model = await loadAlone({
    entry: resolveModel('demo', modelSchema.parse(entry), roots),
    ...{ providers: ['cpu'], threads: { intraOp: 1, interOp: 1 }, cachedFrames: 128 },
    preparing: { folder: path.join(folder, 'prepared'), quality: 75, processes: 0 },
  });
  return { ...model, network: gpuOf(model.network) };
}

/** Gives the faces back as mouths, and takes the time of a GPU. */
function gpuOf({ size }: LipSyncNetwork): LipSyncNetwork {
  const nobody = new Int32Array(new SharedArrayBuffer(4));
  return {
    size,
    framesPerRun: 32,
    generate: () => Promise.reject(new Error('it takes pictures only')),
    paintFloats: () => Promise.reject(new Error('it gives pictures only')),
    async paint(faces, _audio, mouths, count) {
      if ('crops' in faces) mouths.set(faces.crops);
      Atomics.wait(nobody, 0, 0, FRAME_MS * count);
    },
  };
}

function startCompositor(storageRoot: string): { line: FrameLine; compositor: Worker } {
  const { port1, port2 } = new MessageChannel();
  const settings = { log: { processName: 'bench', level: 'error' }, storageRoot };
  const compositor = new Worker(COMPOSITOR, { workerData: { settings, pipeline: port2 }, transferList: [port2] });
  const line = new FrameLine((message) => port1.postMessage(message));
  port1.on('message', (message) => line.receive(message));
  return { line, compositor };
}

let lastTaskId = 0;

/** @param line where frames are put together; undefined: mouths are made, and dropped. */
async function renderTo(line: FrameLine | undefined, model: LoadedModel): Promise<void> {
  const { network, encoder, prepared: pictures } = model;
  const frames = { kind: 'live', form: { kind: 'jpeg', quality: pictures.quality }, groupBytes: 0 } as const;
  const output = line?.open(++lastTaskId, frames);
  const complete = completing(frames, model, new LastingPools(), NEVER);
  const pool = mouthPool(BATCH_FRAMES, mouthBytes(network.size));
  const request = {
    ...{ frames: { start: 0, end: FRAMES }, totalFrames: FRAMES, startFrameIndex: 0, grid: 'request' as const },
    ...{ batchFrames: BATCH_FRAMES, encoderBatchWindows: 1 },
  } as const;
  const given = { audioInput: new Float32Array(AUDIO_INPUT_FLOATS) };
  const audio = { sampleCount: 0, read: async () => new Float32Array(0) };
  const takeMemory = (signal: AbortSignal) => pool.take(signal);
  const parts = { audio, encoder, network, pictures, given, takeMemory };
  for await (const frame of renderMouths(request, parts, NEVER, noTimings())) {
    if (output) output.write(complete(frame));
    else frame.memory.release();
  }
  await output?.close();
}
