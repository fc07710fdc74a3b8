import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type FrameSource, pendingVideo, readyFrameFolder } from '../../worker/avatar/frame-folder.ts';
import { openWorkspace } from '../models/workspace.ts';
import { until } from '../support/until.ts';
import { placesIn, upTo, writeVideo } from './videos.ts';

const GOING_ON = new AbortController().signal;
const PROCESS = fileURLToPath(new URL('./frame-folder-process.ts', import.meta.url));

/** A video, and a folder for its pictures that is not there yet. */
async function open(t: TestContext, frames: number, size?: string) {
  const { folder: root } = await openWorkspace(t);
  const video = await writeVideo(join(root, 'ann.mp4'), { frames, size });
  const source: FrameSource = {
    folder: join(root, 'frames'),
    video,
    frameLimit: undefined,
    format: 'png',
  };
  return { root, source };
}

/** A process that readies the folder; its ffmpeg notes each start in a file, and reads the video as slowly as it plays. */
async function startProcess(t: TestContext, root: string, source: FrameSource): Promise<ChildProcess> {
  const bin = join(root, 'bin');
  await mkdir(bin, { recursive: true });
  await writeFile(
    join(bin, 'ffmpeg'),
    `#!/bin/sh\necho "$@" >> '${root}/starts'\nPATH='${process.env.PATH}' exec ffmpeg -re "$@"\n`,
  );
  await chmod(join(bin, 'ffmpeg'), 0o755);
  const child = spawn(process.execPath, [PROCESS, source.video, source.folder], {
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  t.after(() => child.exitCode === null && child.kill('SIGKILL'));
  return child;
}

/** How often ffmpeg was started to extract pictures. */
async function extractions(root: string): Promise<number> {
  const starts = await readFile(join(root, 'starts'), 'utf8');
  return starts.split('\n').filter((line) => line.includes('frame_%06d')).length;
}

/** Pictures in the hidden folder of the extraction under way. */
async function picturesSoFar(root: string): Promise<number> {
  const draft = (await readdir(root)).find((name) => name.startsWith('.frames.draft'));
  return draft === undefined ? 0 : (await readdir(join(root, draft))).length;
}

test('a folder without pictures is filled from the video, once', async (t) => {
  const { source } = await open(t, 4);
  assert.equal(await pendingVideo(source), source.video);
  assert.equal(await readyFrameFolder(source, GOING_ON), source.folder);
  assert.deepEqual(await placesIn(source.folder), upTo(4));
  assert.equal(await pendingVideo(source), undefined);
  await rm(source.video);
  assert.equal(await readyFrameFolder(source, GOING_ON), source.folder);
});

test('pictures that are there have precedence over the video', async (t) => {
  const { source } = await open(t, 4);
  await mkdir(source.folder);
  await writeFile(join(source.folder, '0.png'), '');
  await readyFrameFolder(source, GOING_ON);
  assert.deepEqual(await readdir(source.folder), ['0.png']);
});

test('a folder without a name is made for this version of the video and this number of pictures', async (t) => {
  const { source } = await open(t, 4);
  const nameless = { ...source, folder: '' };
  const all = await readyFrameFolder(nameless, GOING_ON);
  assert.ok(all.startsWith(`${source.video}.frames-`), all);
  assert.equal(await readyFrameFolder(nameless, GOING_ON), all);
  const two = await readyFrameFolder({ ...nameless, frameLimit: 2 }, GOING_ON);
  assert.deepEqual([await placesIn(all), await placesIn(two)], [upTo(4), upTo(2)]);
  await utimes(source.video, new Date(0), new Date(0));
  assert.notEqual(await readyFrameFolder(nameless, GOING_ON), all);
});

test('a video that is not there is refused with its path', async (t) => {
  const { source, root } = await open(t, 1);
  const missing = { ...source, video: join(root, 'gone.mp4') };
  const refusal = { code: 'model_unusable', message: /gone\.mp4 cannot be read: ENOENT/ };
  await assert.rejects(pendingVideo(missing), refusal);
  await assert.rejects(readyFrameFolder(missing, GOING_ON), refusal);
  await assert.rejects(readyFrameFolder({ ...missing, folder: '' }, GOING_ON), refusal);
});

test('two processes that ask at once extract once', async (t) => {
  const { root, source } = await open(t, 25);
  const children = await Promise.all([startProcess(t, root, source), startProcess(t, root, source)]);
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]));
  assert.deepEqual(codes, [0, 0]);
  assert.equal(await extractions(root), 1);
  assert.deepEqual(await placesIn(source.folder), upTo(25));
  assert.deepEqual((await readdir(root)).sort(), ['ann.mp4', 'bin', 'frames', 'starts']);
});

test('an extraction whose process was killed is done again, by whoever waited for it', async (t) => {
  const { root, source } = await open(t, 75);
  const first = await startProcess(t, root, source);
  await until('pictures are being written', async () => (await picturesSoFar(root)) > 2);
  const second = await startProcess(t, root, source);
  const ended = once(second, 'exit');
  first.kill('SIGKILL');
  await once(first, 'exit');
  assert.deepEqual(await readdir(root).then((names) => names.includes('frames')), false);
  assert.deepEqual((await ended)[0], 0);
  assert.equal(await extractions(root), 2);
  assert.equal((await readdir(source.folder)).length, 75);
  assert.deepEqual((await readdir(root)).sort(), ['ann.mp4', 'bin', 'frames', 'starts']);
});
