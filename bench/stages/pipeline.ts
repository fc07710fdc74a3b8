import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildBenchModels } from '../../avatars/bench/build.ts';
import { buildDemoAvatar } from '../../avatars/demo/build.ts';
import { GPU_NODE_OPTIONS } from '../../cli/supervisor/farm-processes.ts';
import { childEnvironment, gpuTunables } from '../../shared/process/environment.ts';
import { writeCheapNetworks } from '../cheap-avatar.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';
import { ratios } from '../harness/rounds.ts';
import type { Turn } from '../network-process.ts';
import type { RoundDone, RoundWanted } from '../worker-process.ts';

/**
 * The threads of a GPU worker from the request to its JPEGs, on pictures of 1280×720: how near they come to bare
 * `session.run` with a network of the trained size, and how many frames a second they make where the network costs next
 * to nothing, which is what a GPU asks of the CPU beside it. Each is a process of its own, and they take turns.
 */

const ROOT = path.join(import.meta.dirname, '../..');
const WORKER = new URL('../worker-process.ts', import.meta.url);
const NETWORK = new URL('../network-process.ts', import.meta.url);
const TURNS = 3;
/** Frames in a turn of a network of the trained size: one request, whose first and last frame nothing overlaps. */
const TRAINED_FRAMES = { 320: 16, 160: 32 };
/** Of the cheap one. */
const CHEAP_FRAMES = 256;
const CHEAP_FRAMES_BEFORE = 64;
/** That of the worker's threads, so that other programs take as much from both. */
const PRIORITY = ['nice', '-n', '5'];
/** Settings that a farm gives its workers; bare `session.run` has those of any program. */
const AS_IN_A_FARM = { execArgv: [...GPU_NODE_OPTIONS], env: childEnvironment(gpuTunables()) };
/** ONNX Runtime's bare threads stay awake for a while after a run. */
const PAUSE_MS = 100;

export const stage: Stage = {
  about: 'the threads of a GPU worker, request to JPEG at 1280×720, beside bare session.run and the build before',
  limitS: 150,
  async measure({ before, signal }) {
    const demo = await buildDemoAvatar();
    const pictures = {
      background_dir: path.join(demo.dir, 'frames'),
      crop_rects_path: path.join(demo.dir, 'crop_rects.json'),
      preload_backgrounds: true,
    };
    const rows: Row[] = [];
    for (const size of [320, 160] as const) rows.push(...(await besideBare(size, pictures, signal)));
    rows.push(...(await withCheapNetwork(pictures, before, signal)));
    return rows;
  },
};

async function besideBare(size: 320 | 160, pictures: object, signal: AbortSignal): Promise<Row[]> {
  const { generatorPath, encoderPath } = await buildBenchModels(size);
  await using opened = new AsyncDisposableStack();
  const network = [generatorPath, `${size}`, `${availableParallelism()}`];
  const bare = await start(opened, NETWORK, ['bare', ...network], signal, PRIORITY);
  const entry = { ...pictures, model_path: generatorPath, audio_encoder_path: encoderPath };
  const worker = await start(opened, WORKER, ['--root', ROOT, '--model', JSON.stringify(entry)], signal);
  const frames = TRAINED_FRAMES[size];
  const bareMs: number[] = [];
  const bareCpuMs: number[] = [];
  const workerMs: number[] = [];
  const encoderMs: number[] = [];
  const cpuMs: number[] = [];
  for (let turn = -1; turn < TURNS; turn++) {
    const one = await ask<Turn>(bare, frames, signal);
    const two = await ask<RoundDone>(worker, live(frames), signal);
    if (turn < 0) continue;
    bareMs.push(one.ms);
    bareCpuMs.push(one.cpuMs);
    workerMs.push(two.ms / frames);
    encoderMs.push((two.stages.encoder ?? 0) / frames);
    cpuMs.push(two.cpuMs / frames);
  }
  const name = `trained size, ${size}²`;
  const bothMs = bareMs.map((ms, turn) => ms + (encoderMs[turn] ?? 0));
  return [
    row({ name: `${name}: bare session.run of the network`, unit: 'ms/frame', values: bareMs, cpuMs: bareCpuMs }),
    row({ name: `${name}: worker`, unit: 'ms/frame', values: workerMs, cpuMs }),
    row({ name: `${name}: of which the audio encoder`, unit: 'ms/frame', values: encoderMs }),
    row({
      name: `${name}: worker to bare, frames/s`,
      unit: 'ratio',
      values: ratios(bareMs, workerMs),
      atLeast: 0.95,
    }),
    row({ name: `${name}: worker to bare, frames for the same CPU`, unit: 'ratio', values: ratios(bareCpuMs, cpuMs) }),
    row({ name: `${name}: worker to bare and its audio encoder`, unit: 'ratio', values: ratios(bothMs, workerMs) }),
  ];
}

async function withCheapNetwork(pictures: object, before: string | undefined, signal: AbortSignal): Promise<Row[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-bench-'));
  await using opened = new AsyncDisposableStack();
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const model = JSON.stringify({ ...pictures, ...(await writeCheapNetworks(folder)) });
  const now = await start(opened, WORKER, ['--root', ROOT, '--model', model], signal);
  const then = before && (await start(opened, WORKER, ['--root', before, '--model', model], signal));
  const pace = { live: [] as number[], files: [] as number[], before: [] as number[] };
  const cpuMs = { live: [] as number[], files: [] as number[], before: [] as number[] };
  const note = (kind: keyof typeof pace, frames: number, done: RoundDone) => {
    pace[kind].push((1000 * frames) / done.ms);
    cpuMs[kind].push(done.cpuMs / frames);
  };
  for (let turn = -1; turn < TURNS; turn++) {
    const asked = await ask<RoundDone>(now, live(CHEAP_FRAMES), signal);
    const files = await ask<RoundDone>(now, render(CHEAP_FRAMES), signal);
    const old = then && (await ask<RoundDone>(then, render(CHEAP_FRAMES_BEFORE), signal));
    if (turn < 0) continue;
    note('live', CHEAP_FRAMES, asked);
    note('files', CHEAP_FRAMES, files);
    if (old) note('before', CHEAP_FRAMES_BEFORE, old);
  }
  const rows = [
    row({ name: 'cheap network: live frames', unit: 'frames/s', values: pace.live, cpuMs: cpuMs.live, atLeast: 500 }),
    row({ name: 'cheap network: frames as files', unit: 'frames/s', values: pace.files, cpuMs: cpuMs.files }),
  ];
  if (!then) return rows;
  return [
    ...rows,
    row({
      name: 'cheap network: frames as files, build before',
      unit: 'frames/s',
      values: pace.before,
      cpuMs: cpuMs.before,
    }),
    row({
      name: 'cheap network: to the build before',
      unit: 'ratio',
      values: ratios(pace.files, pace.before),
      atLeast: 6,
    }),
    row({
      name: 'cheap network: CPU of the build before to ours',
      unit: 'ratio',
      values: ratios(cpuMs.before, cpuMs.files),
    }),
  ];
}

const live = (frames: number): RoundWanted => ({ kind: 'live', frames });
const render = (frames: number): RoundWanted => ({ kind: 'render', frames });

/**
 * Starts a process that says when it is ready, and that ends with the stack.
 * @param before a program that starts it.
 */
async function start(
  opened: AsyncDisposableStack,
  script: URL,
  args: readonly string[],
  signal: AbortSignal,
  before: readonly string[] = [],
): Promise<ChildProcess> {
  const [execPath = process.execPath, ...execArgv] = [...before, process.execPath];
  const child = fork(script, args, {
    execPath,
    ...(script === WORKER ? AS_IN_A_FARM : { execArgv }),
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  opened.defer(async () => {
    const ended = once(child, 'exit');
    child.disconnect();
    await ended;
  });
  await once(child, 'message', { signal });
  return child;
}

async function ask<T>(child: ChildProcess, wanted: RoundWanted | number, signal: AbortSignal): Promise<T> {
  await sleep(PAUSE_MS);
  child.send(wanted);
  const [answer] = await once(child, 'message', { signal });
  return answer as T;
}
