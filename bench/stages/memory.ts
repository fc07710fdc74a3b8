import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildDemoAvatar } from '../../avatars/demo/build.ts';
import { GPU_NODE_OPTIONS } from '../../cli/supervisor/farm-processes.ts';
import { childEnvironment, gpuTunables } from '../../shared/process/environment.ts';
import { writeAllocationTable } from '../allocations.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';
import { rssMbOf } from '../harness/process-cpu.ts';
import type { RoundDone, RoundWanted } from '../worker-process.ts';

/**
 * Memory of a GPU worker's threads with one avatar of 523 pictures of 1280×720, all of them kept, looked at from
 * outside: above a process that has the same network open and nothing else. Both have the settings that a farm gives its
 * workers. And what JavaScript allocates for a frame, as V8's collector tells it.
 */

const ROOT = path.join(import.meta.dirname, '../..');
const WORKER = new URL('../worker-process.ts', import.meta.url);
const SAMPLER = new URL('../allocation-sampler.ts', import.meta.url).href;
/** Profiles and a table of what the threads allocate. */
const ALLOCATIONS = path.join(ROOT, 'bench/out/memory');
const NETWORK = new URL('../network-process.ts', import.meta.url);
const PICTURES = 523;
const NETWORK_FRAMES = 8;
/** In each round, in requests of 32 frames. */
const FRAMES = 256;
const ROUNDS = 2;
/** Of frames whose whole pictures are needed. */
const WHOLE_FRAMES = 96;
const FULL_COLLECTION = /: Mark-Compact/g;
/** `[pid:isolate] 12 ms: Scavenge 10.0 (12.0) -> 8.0 (12.0) MB` */
const COLLECTION = /: (?:Scavenge|Mark-Compact)[^\n]*? ([\d.]+) \([\d.]+\) -> ([\d.]+) \(/g;

export const stage: Stage = {
  about: '523 pictures of 1280×720 in a GPU worker: resident memory above the network, and garbage a frame',
  limitS: 180,
  async measure({ signal }) {
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-bench-'));
    await using opened = new AsyncDisposableStack();
    opened.defer(() => rm(folder, { recursive: true, force: true }));
    const { generatorPath, encoderPath } = await buildDemoAvatar();
    const networkMb = await rssOfNetwork(generatorPath, signal);
    const entry = { model_path: generatorPath, audio_encoder_path: encoderPath, ...(await longAvatar(folder)) };
    const args = ['--root', ROOT, '--model', JSON.stringify(entry)];
    const worker = fork(WORKER, args, {
      execArgv: [...GPU_NODE_OPTIONS, '--trace-gc', '--import', SAMPLER],
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      env: childEnvironment(gpuTunables()),
    });
    opened.defer(() => end(worker));
    return await rowsOf(worker, networkMb, signal);
  },
};

async function rowsOf(worker: ChildProcess, networkMb: number, signal: AbortSignal): Promise<Row[]> {
  let told = '';
  worker.stdout?.on('data', (text) => {
    told += text;
  });
  await once(worker, 'message', { signal });
  const rssMb: number[] = [];
  const garbageKb: number[] = [];
  const collections: number[] = [];
  for (let round = -1; round < ROUNDS; round++) {
    told = '';
    const wanted: RoundWanted = { kind: 'live', frames: FRAMES };
    worker.send(wanted);
    const [done] = (await once(worker, 'message', { signal })) as [RoundDone];
    if (round < 0 || done.ms === 0) continue;
    rssMb.push(rssMbOf(worker.pid ?? 0));
    garbageKb.push((1000 * collectedMb(told)) / FRAMES);
    collections.push((1000 * [...told.matchAll(FULL_COLLECTION)].length) / FRAMES);
  }
  const aboveMb: Record<string, number> = {};
  for (const kind of ['live, other quality', 'live, raw'] as const) {
    worker.send({ kind, frames: WHOLE_FRAMES } satisfies RoundWanted);
    await once(worker, 'message', { signal });
    aboveMb[kind] = rssMbOf(worker.pid ?? 0) - networkMb;
  }
  await rm(ALLOCATIONS, { recursive: true, force: true });
  worker.send({ kind: 'live', frames: FRAMES, allocationsTo: ALLOCATIONS } satisfies RoundWanted);
  await once(worker, 'message', { signal });
  const { kbAFrame } = writeAllocationTable(ALLOCATIONS, FRAMES);
  return [
    row({ name: 'a process with the network alone', unit: 'MB', values: [networkMb] }),
    row({ name: 'the worker', unit: 'MB', values: rssMb }),
    row({ name: 'the worker above the network', unit: 'MB', values: rssMb.map((mb) => mb - networkMb), atMost: 250 }),
    ...Object.entries(aboveMb).map(([kind, mb]) =>
      row({ name: `the worker above the network, after frames ${kind}`, unit: 'MB', values: [mb], atMost: 250 }),
    ),
    row({ name: 'collected by V8, all threads', unit: 'KB/frame', values: garbageKb }),
    row({ name: 'allocated by JavaScript, by the profile in bench/out/memory', unit: 'KB/frame', values: [kbAFrame] }),
    row({ name: 'full collections, all threads', unit: 'of 1000 frames', values: collections }),
  ];
}

function collectedMb(told: string): number {
  return [...told.matchAll(COLLECTION)].reduce((sum, [, before, after]) => sum + Number(before) - Number(after), 0);
}

async function rssOfNetwork(generatorPath: string, signal: AbortSignal): Promise<number> {
  const child = fork(NETWORK, ['inside', generatorPath, '320', '2'], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: childEnvironment(gpuTunables()),
  });
  await once(child, 'message', { signal });
  child.send(NETWORK_FRAMES);
  await once(child, 'message', { signal });
  const mb = rssMbOf(child.pid ?? 0);
  await end(child);
  return mb;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.disconnect();
  await ended;
}

/**
 * The demo's pictures, again and again: the same ones are prepared once, which saves time, but kept in memory as often as
 * they occur.
 */
async function longAvatar(folder: string) {
  const { dir } = await buildDemoAvatar();
  const files = (await readdir(path.join(dir, 'frames'))).sort();
  const rects: number[][] = JSON.parse(await readFile(path.join(dir, 'crop_rects.json'), 'utf8'));
  const pictures = path.join(folder, 'pictures');
  await mkdir(pictures);
  const indices = Array.from({ length: PICTURES }, (_, index) => index);
  for (const index of indices) {
    const file = files[index % files.length] ?? '';
    await symlink(path.join(dir, 'frames', file), path.join(pictures, `frame_${String(index).padStart(6, '0')}.jpg`));
  }
  const crop_rects_path = path.join(folder, 'crop_rects.json');
  await writeFile(crop_rects_path, JSON.stringify(indices.map((index) => rects[index % rects.length])));
  return { background_dir: pictures, crop_rects_path, preload_backgrounds: true };
}
