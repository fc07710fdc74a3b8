import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { findCutOff } from '../../worker/media/cut-off.ts';
import { openWorkspace } from '../models/workspace.ts';
import { boxesOf, ffmpeg, lavfi } from './media-files.ts';

/** Names of files and how they are written; all hold the same second of pictures. */
const KINDS: readonly (readonly [name: string, ...options: string[]])[] = [
  ['first.mp4', '-movflags', '+faststart'],
  ['last.mp4'],
  ['pieces.mp4', '-movflags', '+frag_keyframe+empty_moov'],
  ['film.mov'],
  ['film.mkv'],
  ['film.avi'],
  ['film.webm', '-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8'],
];

test('a video of any kind that ends too early is found, and a whole one is not', async (t) => {
  const { folder } = await openWorkspace(t);
  for (const [name, ...options] of KINDS) {
    const path = join(folder, name);
    await ffmpeg(...lavfi('testsrc2=s=160x120:r=25'), '-frames:v', '25', '-pix_fmt', 'yuv420p', ...options, path);
    assert.equal(await findCutOff(path), undefined, name);
    const whole = await readFile(path);
    for (const length of [whole.length >> 1, whole.length - 100]) {
      await writeFile(path, whole.subarray(0, length));
      assert.match((await findCutOff(path)) ?? 'whole', new RegExp(`^it was cut off: it has ${length} bytes of`), name);
    }
  }
});

test('a recording that was never ended has no index', async (t) => {
  const { folder } = await openWorkspace(t);
  const path = join(folder, 'recording.mp4');
  await ffmpeg(...lavfi('testsrc2=s=160x120:r=25'), '-frames:v', '5', path);
  assert.deepEqual((await boxesOf(path)).at(-1), 'moov');
  const whole = await readFile(path);
  await writeFile(path, whole.subarray(0, whole.lastIndexOf('moov') - 4));
  assert.match((await findCutOff(path)) ?? '', /no index/);
});

test('of a stream without a stated length, and of other files, nothing is said', async (t) => {
  const { folder, write } = await openWorkspace(t);
  const path = join(folder, 'live.mkv');
  await ffmpeg(...lavfi('testsrc2=s=160x120:r=25'), '-frames:v', '5', '-f', 'matroska', '-live', '1', path);
  const files = [path, await write('text.mp4', 'no video'), await write('empty.mp4', '')];
  for (const file of files) assert.equal(await findCutOff(file), undefined, file);
  const padded = join(folder, 'padded.mp4');
  await ffmpeg(...lavfi('testsrc2=s=160x120:r=25'), '-frames:v', '5', padded);
  await writeFile(padded, Buffer.concat([await readFile(padded), Buffer.alloc(300)]));
  assert.equal(await findCutOff(padded), undefined);
});
