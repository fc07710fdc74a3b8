import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Queue } from 'bullmq';
import sharp from 'sharp';
import { footageOf } from '../../client/node/footage.ts';
import type { SubmitOptions } from '../../client/requests.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { FOOTAGE_FRAMES, FOOTAGE_SIZE, writeFootage } from '../support/footage.ts';
import { runCli } from '../support/run-cli.ts';
import { CLEAR_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

/** Three segments of a second, of a sound that has to be resampled. */
const SEGMENTS = 3;
const SEGMENT_FRAMES = 25;
const RATE_HZ = 22_050;

describe('segments of earlier renders', () => {
  let farm: TestFarm;
  let folder = '';
  let song = '';
  let edited = '';
  let first: Buffer;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-cache-'));
    song = path.join(folder, 'song.wav');
    edited = path.join(folder, 'edited.wav');
    const samples = syllables(SEGMENTS, RATE_HZ);
    await writeWav(song, samples, RATE_HZ);
    await writeWav(edited, withOtherBeginning(samples), RATE_HZ);
    farm = await startFarm({
      models: { small: CLEAR_MODEL, blue: { ...CLEAR_MODEL, background: '#0000ff' } },
      render: { segment_frames: SEGMENT_FRAMES, encoder_batch_windows: 8 },
      storage: { segment_cache_gb: 1 },
    });
  });
  after(async () => {
    await farm?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function render(sound: string, options: SubmitOptions = {}) {
    const { id } = await farm.client.submit(sound, { modelId: 'small', ...options });
    const view = await farm.client.finished(id);
    assert.equal(view.frames.done, view.frames.total);
    const target = path.join(folder, id);
    if (view.links.video) await farm.client.saveVideo(id, target);
    else await saveFrames(id, target);
    const files = view.links.video ? [target] : (await readdir(target)).sort().map((name) => path.join(target, name));
    const bytes = Buffer.concat(await Promise.all(files.map((file) => readFile(file))));
    return { id, bytes, receipt: await farm.client.receipt(id) };
  }

  async function saveFrames(id: string, target: string): Promise<void> {
    await mkdir(target);
    await farm.client.saveFrames(id, target);
  }

  /** Jobs that GPUs have been given so far. */
  async function segmentJobs(): Promise<number> {
    const connection = workerConnection(farm.farm.redisUrl);
    const queue = new Queue('gpu-0', { connection, prefix: KEY_PREFIX });
    const count = await queue.getJobCountByTypes('completed');
    await queue.close();
    connection.disconnect();
    return count;
  }

  it('are used when the same is asked for again, without a job for a GPU and to the same bytes', async () => {
    const made = await render(song);
    first = made.bytes;
    assert.deepEqual([made.receipt.segments_cached, made.receipt.frames_cached], [0, 0]);
    assert.equal(await segmentJobs(), SEGMENTS);
    const again = await render(song);
    assert.equal(await segmentJobs(), SEGMENTS);
    assert.deepEqual(
      [again.receipt.segments_cached, again.receipt.frames_cached],
      [SEGMENTS, SEGMENTS * SEGMENT_FRAMES],
    );
    assert.ok(again.bytes.equals(first));
    assert.deepEqual(again.receipt.quality, made.receipt.quality);
    assert.deepEqual(again.receipt.model_files, made.receipt.model_files);
    const [sheet, sameSheet] = await Promise.all(
      [made, again].map(({ id }) => farm.client.picture(id, 'contact-sheet')),
    );
    assert.deepEqual(sameSheet, sheet);
    assert.ok(again.receipt.segments.every(({ cached, timings_ms }) => cached && timings_ms.inference === 0));
  });

  it('are used but for those that hear what was edited, to the bytes of a render that uses none', async () => {
    const { bytes, receipt } = await render(edited);
    assert.deepEqual(
      receipt.segments.map(({ cached = false }) => cached),
      [false, false, true],
    );
    const alone = await render(edited, { cache: false });
    assert.equal(alone.receipt.segments_cached, 0);
    assert.ok(bytes.equals(alone.bytes));
    assert.ok(!bytes.equals(first));
  });

  it('give a contact sheet to a part of the render, whose frames it did not show', async () => {
    const { id, receipt } = await render(song, { from: SEGMENT_FRAMES });
    assert.equal(receipt.segments_cached, SEGMENTS - 1);
    const { width = 0 } = await sharp(await farm.client.picture(id, 'contact-sheet')).metadata();
    assert.ok(width > 0);
  });

  it('are kept of pictures, too', async () => {
    const made = await render(song, { output: 'frames', to: 10 });
    const again = await render(song, { output: 'frames', to: 10 });
    assert.deepEqual([made.receipt.segments_cached, again.receipt.segments_cached], [0, 1]);
    assert.ok(again.bytes.equals(made.bytes));
  });

  it('of own footage that is seen through are those of the background behind it', async () => {
    const { rects } = await writeFootage(folder);
    const video = path.join(folder, 'clear.mov');
    const { width, height } = FOOTAGE_SIZE;
    const clear = `color=red@0.5:s=${width}x${height}:r=25:d=${FOOTAGE_FRAMES / 25},format=rgba`;
    const written = ['-v', 'error', '-f', 'lavfi', '-i', clear, '-c:v', 'png', video];
    await promisify(execFile)('ffmpeg', written);
    const options = { footage: await footageOf(video, rects), output: 'frames', to: 3 } as const;
    const made = await render(song, options);
    const other = await render(song, { ...options, modelId: 'blue' });
    assert.equal(other.receipt.segments_cached, 0);
    assert.ok(!other.bytes.equals(made.bytes));
  });

  it('are rendered again when what is kept is damaged', async () => {
    const kept = path.join(farm.folder, 'data/segment-cache');
    const videos = (await readdir(kept, { recursive: true })).filter((name) => name.endsWith('/video'));
    for (const [place, name] of videos.entries()) await damage(path.join(kept, name), place % 2 === 0);
    const again = await render(song);
    assert.equal(again.receipt.segments_cached, 0);
    assert.ok(again.bytes.equals(first));
  });

  it('are counted by farm gc, which removes them when it is told to', async () => {
    const { segment_cache } = await farm.client.collectExpired(true);
    assert.ok(segment_cache && segment_cache.entries >= SEGMENTS && segment_cache.bytes > 0);
    const { exited, output } = runCli('gc', '--url', farm.url, '--cache');
    assert.equal(await exited, 0, output());
    assert.match(output(), /No segments are kept/);
    await assert.rejects(readdir(path.join(farm.folder, 'data/segment-cache')), { code: 'ENOENT' });
  });
});

/** Another voice in the first 0.9 s: the first segment has it, and the second hears its end. */
function withOtherBeginning(samples: Float32Array): Float32Array {
  const changed = samples.slice();
  for (let at = 0; at < 0.9 * RATE_HZ; at++) changed[at] = 0.3 * Math.sin(at / 7);
  return changed;
}

/** In a new file: a render may share the old one. */
async function damage(file: string, cutOff: boolean): Promise<void> {
  const content = await readFile(file);
  await rm(file);
  content[content.length - 1] = (content.at(-1) as number) ^ 1;
  await writeFile(file, cutOff ? content.subarray(0, 100) : content);
}
