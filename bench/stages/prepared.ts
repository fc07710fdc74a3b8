import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline/promises';
import { promisify } from 'node:util';
import { childEnvironment } from '../../shared/process/environment.ts';
import { listBackgroundFiles } from '../../worker/avatar/background-files.ts';
import { extractFrames } from '../../worker/avatar/extract-frames.ts';
import { Compositor } from '../../worker/compositor/compositor.ts';
import { prepareAvatar } from '../../worker/prepared/prepare-avatar.ts';
import { readPicture } from '../../worker/prepared/prepare-picture.ts';
import { PreparedAvatars } from '../../worker/prepared/prepared-avatars.ts';
import type { PreparedPictures } from '../../worker/prepared/prepared-pictures.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';
import { benchAvatar } from '../prepared-load.ts';

/**
 * What it costs to prepare an avatar of 523 pictures of 1280×720 with the noise of a camera, and to load it afterwards:
 * time and memory of a process of its own, looked at from outside.
 */

const run = promisify(execFile);
/** Pictures that differ. */
const DISTINCT = 64;
const SIDE = 320;
const WARM_UP = 12;

/** What the process of `prepared-load.ts` answers. */
interface Load {
  readonly openMs: number;
  readonly loadMs: number;
  readonly first: number;
  readonly later: readonly number[];
  readonly cachedMb: number;
  readonly done: number;
  readonly growthMb: number;
}

export const stage: Stage = {
  about: '523 pictures of 1280×720: preparing them, and time and memory of loading what is prepared',
  limitS: 100,
  async measure({ signal }) {
    const root = await mkdtemp(path.join(tmpdir(), 'farm-bench-'));
    try {
      const video = path.join(root, 'camera.mp4');
      const drawing = 'mandelbrot=s=1280x720:rate=25,noise=alls=6:allf=t';
      const coding = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '20', '-pix_fmt', 'yuv420p'];
      await run('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', drawing, '-frames:v', `${DISTINCT}`, ...coding, video]);
      const pictureFolder = path.join(root, 'pictures');
      await extractFrames(video, pictureFolder, {}, signal);
      const paths = await listBackgroundFiles(pictureFolder);
      const prepared = path.join(root, 'prepared');
      const rows = await preparation(prepared, paths, signal);
      return [...rows, ...rowsOf(await load(prepared, paths))];
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  },
};

async function preparation(folder: string, paths: readonly string[], signal: AbortSignal): Promise<Row[]> {
  const avatars = new PreparedAvatars({ folder, quality: 75, processes: 0 }, 1);
  const { pictures, release } = await avatars.open('bench', benchAvatar(paths), SIDE);
  const cpuMs = await cpuOfEach(pictures, paths.length);
  const processes = Math.max(1, availableParallelism() - 1);
  const log = { info() {}, warn: (...said: unknown[]) => process.stderr.write(`${JSON.stringify(said)}\n`) };
  const startedAt = performance.now();
  await prepareAvatar(pictures, { modelId: 'bench', folder, processes, fewPixels: 0, log }, signal);
  const seconds = (performance.now() - startedAt) / 1000;
  await release();
  if (pictures.missing.length > 0) throw new Error(`${pictures.missing.length} pictures could not be prepared`);
  return [
    row({ name: 'preparing a picture', unit: 'ms CPU', values: cpuMs, cpuMs }),
    row({ name: `preparing all, ${processes} process${processes === 1 ? '' : 'es'}`, unit: 's', values: [seconds] }),
  ];
}

/** CPU milliseconds of preparing each of the distinct pictures, without writing it. */
async function cpuOfEach(pictures: PreparedPictures, count: number): Promise<number[]> {
  const compositor = new Compositor();
  const cpuMs: number[] = [];
  for (let place = -WARM_UP; place < count; place++) {
    const before = process.cpuUsage();
    const read = await readPicture(pictures.order(Math.abs(place)));
    await read.prepare(compositor);
    const { user, system } = process.cpuUsage(before);
    if (place >= 0) cpuMs.push((user + system) / 1000);
  }
  return cpuMs;
}

async function load(folder: string, paths: readonly string[]): Promise<Load> {
  const entry = path.join(import.meta.dirname, '..', 'prepared-load.ts');
  const child = spawn(process.execPath, [entry, folder, ...paths], {
    env: childEnvironment({}),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  try {
    const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const nextAnswer = async () => {
      const { value, done } = await answers.next();
      if (done === true) throw new Error('The process that loads has ended');
      return JSON.parse(value) as object;
    };
    await nextAnswer();
    const before = await rssMb(child.pid);
    child.stdin.write('go\n');
    const facts = (await nextAnswer()) as Omit<Load, 'growthMb'>;
    return { ...facts, growthMb: (await rssMb(child.pid)) - before };
  } finally {
    child.kill('SIGKILL');
  }
}

async function rssMb(pid: number | undefined): Promise<number> {
  const { stdout } = await run('ps', ['-o', 'rss=', '-p', String(pid)]);
  return (Number(stdout) * 1024) / 1e6;
}

function rowsOf({ openMs, loadMs, first, later, cachedMb, growthMb, done }: Load): Row[] {
  if (done !== benchAvatar(['']).frameCount) throw new Error(`Only ${done} pictures are prepared`);
  return [
    row({ name: 'opening the prepared avatar', unit: 'ms', values: [openMs] }),
    row({ name: 'loading it, every picture read', unit: 'ms', values: [loadMs], atMost: 1000 }),
    row({ name: 'growth of the process', unit: 'MB', values: [growthMb], atMost: 120 }),
    row({ name: 'kept in memory', unit: 'MB', values: [cachedMb] }),
    row({ name: 'first read of a picture', unit: 'ms CPU/frame', values: [first], cpuMs: [first] }),
    row({ name: 'a later read', unit: 'ms CPU/frame', values: later, cpuMs: later }),
  ];
}
