import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { childEnvironment } from '../shared/process/environment.ts';
import { listBackgroundFiles } from '../worker/avatar/background-files.ts';
import { BackgroundFrames } from '../worker/avatar/background-frames.ts';
import { extractFrames, type PictureFormat } from '../worker/avatar/extract-frames.ts';
import { MACHINE, saveFigures } from './figures.ts';

/**
 * `npm run bench:backgrounds`: how much memory the backgrounds of a long avatar take, as they are kept and as the process
 * grows, and what loading and reading them costs. 523 pictures of 1280×720 with the noise of a camera, once as JPEG as
 * they are extracted, once as PNG. Writes bench/out/backgrounds.json.
 */

const run = promisify(execFile);
const FRAMES = 523;
/** Pictures that differ; the others are links to them, each read and kept for itself. */
const DISTINCT = 64;
const SIZE = { width: 1280, height: 720 };
const RECT = { x1: 528, y1: 264, x2: 752, y2: 488 };

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { folder: { type: 'string' } } });
  if (values.folder) return await measure(values.folder);
  const root = await mkdtemp(path.join(tmpdir(), 'farm-bench-'));
  try {
    const video = path.join(root, 'camera.mp4');
    const drawing = `mandelbrot=s=${SIZE.width}x${SIZE.height}:rate=25,noise=alls=6:allf=t`;
    const coding = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '20', '-pix_fmt', 'yuv420p'];
    await run('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', drawing, '-frames:v', `${DISTINCT}`, ...coding, video]);
    const figures: Record<string, unknown> = {};
    for (const format of ['jpg', 'png'] as const) {
      const folder = await writePictures(video, path.join(root, format), format);
      // A process of its own, as the farm starts them: what one has freed, the next would use without growing.
      const { stdout } = await run(process.execPath, [import.meta.filename, '--folder', folder], {
        env: childEnvironment({}),
      });
      figures[format] = JSON.parse(stdout);
    }
    process.stdout.write(`${MACHINE}; ${FRAMES} pictures of ${SIZE.width}×${SIZE.height}\n`);
    console.table(figures);
    await saveFigures('backgrounds', figures);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function writePictures(video: string, folder: string, format: PictureFormat): Promise<string> {
  await extractFrames(video, `${folder}-distinct`, { format }, new AbortController().signal);
  const names = (await readdir(`${folder}-distinct`)).sort();
  await mkdir(folder);
  for (let index = 0; index < FRAMES; index++) {
    const target = path.join(`${folder}-distinct`, names[index % names.length] ?? '');
    await symlink(target, path.join(folder, `${index}.${format}`));
  }
  return folder;
}

async function measure(folder: string): Promise<void> {
  const paths = await listBackgroundFiles(folder);
  const frames = new BackgroundFrames({ paths, size: SIZE, rect: () => RECT, cachedFrames: FRAMES });
  // Code and threads are there before the memory is looked at.
  await new BackgroundFrames({ paths, size: SIZE, rect: () => RECT, cachedFrames: 1 }).read(0);
  const before = process.memoryUsage();
  const first = await walk(frames);
  const second = await walk(frames);
  const rssGrowthMb = (process.memoryUsage().rss - before.rss) / 1e6;
  const cachedMb = frames.cachedBytes / 1e6;
  const figures = { cachedMb, rssGrowthMb, firstReadCpuMs: first, laterReadCpuMs: second };
  const rounded = Object.entries(figures).map(([name, value]) => [name, Number(value.toFixed(1))]);
  process.stdout.write(JSON.stringify(Object.fromEntries(rounded)));
}

/** Reads every picture once, in order; returns CPU milliseconds a picture. */
async function walk(frames: BackgroundFrames): Promise<number> {
  const startedAt = process.cpuUsage();
  for (let index = 0; index < FRAMES; index++) await frames.read(index);
  const { user, system } = process.cpuUsage(startedAt);
  return (user + system) / 1000 / FRAMES;
}

await main();
