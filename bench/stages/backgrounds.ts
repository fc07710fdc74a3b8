import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { listBackgroundFiles } from '../../worker/avatar/background-files.ts';
import { BackgroundFrames } from '../../worker/avatar/background-frames.ts';
import { extractFrames, type PictureFormat } from '../../worker/avatar/extract-frames.ts';
import { type Row, row, type Stage } from '../harness/contract.ts';

/**
 * How much memory the backgrounds of a long avatar take, as they are kept and as the process
 * grows, and what loading and reading them costs. 523 pictures of 1280×720 with the noise of a camera, JPEG as they are
 * extracted.
 */

const run = promisify(execFile);
const FRAMES = 523;
/** Pictures that differ; the others are links to them, each read and kept for itself. */
const DISTINCT = 64;
const SIZE = { width: 1280, height: 720 };
const RECT = { x1: 528, y1: 264, x2: 752, y2: 488 };

export const stage: Stage = {
  about: '523 JPEG backgrounds of 1280×720 as they are kept: memory, and what loading and reading them costs',
  limitS: 60,
  async measure() {
    const root = await mkdtemp(path.join(tmpdir(), 'farm-bench-'));
    try {
      const video = path.join(root, 'camera.mp4');
      const drawing = `mandelbrot=s=${SIZE.width}x${SIZE.height}:rate=25,noise=alls=6:allf=t`;
      const coding = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '20', '-pix_fmt', 'yuv420p'];
      await run('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i', drawing, '-frames:v', `${DISTINCT}`, ...coding, video]);
      return await measure(await writePictures(video, path.join(root, 'jpg'), 'jpg'));
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  },
};

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

async function measure(folder: string): Promise<Row[]> {
  const paths = await listBackgroundFiles(folder);
  const frames = new BackgroundFrames({ paths, size: SIZE, rect: () => RECT, cachedFrames: FRAMES });
  // Code and threads are there before the memory is looked at.
  await new BackgroundFrames({ paths, size: SIZE, rect: () => RECT, cachedFrames: 1 }).read(0);
  const before = process.memoryUsage();
  const first = await walk(frames);
  const second = await walk(frames);
  const rssGrowthMb = (process.memoryUsage().rss - before.rss) / 1e6;
  const cachedMb = frames.cachedBytes / 1e6;
  return [
    row({ name: 'kept', unit: 'MB', values: [cachedMb] }),
    row({ name: 'growth of the process', unit: 'MB', values: [rssGrowthMb] }),
    row({ name: 'first read', unit: 'ms CPU/frame', values: [first], cpuMs: [first] }),
    row({ name: 'a later read', unit: 'ms CPU/frame', values: [second], cpuMs: [second] }),
  ];
}

/** Reads every picture once, in order; returns CPU milliseconds a picture. */
async function walk(frames: BackgroundFrames): Promise<number> {
  const startedAt = process.cpuUsage();
  for (let index = 0; index < FRAMES; index++) await frames.read(index);
  const { user, system } = process.cpuUsage(startedAt);
  return (user + system) / 1000 / FRAMES;
}
