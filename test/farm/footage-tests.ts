import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, it } from 'node:test';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { openInput } from '../../client/node/files.ts';
import { footageOf } from '../../client/node/footage.ts';
import type { SyncMode } from '../../shared/footage.ts';
import type { TestFarm } from '../support/farm.ts';
import { decodeFrames, decodeSound } from '../support/ffprobe.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const SIZE = { width: 96, height: 80 } as const;
/** Frames of the video, each brighter than the one before, at 25 a second. */
const PICTURES = 30;
const SECONDS = { long: 2, short: 0.8 } as const;
const FIRST_GREY = 60;
const GREY_STEP = 3;
const FACE = { side: 40, top: 20 } as const;

/** The face runs to the right, a pixel a frame. */
function rectOf(frame: number): [number, number, number, number] {
  return [8 + frame, FACE.top, 8 + frame + FACE.side, FACE.top + FACE.side];
}

/** Renders of a person's own video, at a farm that others have started. */
export function footageTests(farmOf: () => TestFarm): void {
  const files = { video: '', rects: '', long: '', short: '' };

  before(async () => {
    const { folder } = farmOf();
    for (const name of ['long', 'short'] as const) {
      files[name] = path.join(folder, `${name}.wav`);
      await writeWav(files[name], syllables(SECONDS[name]));
    }
    files.video = path.join(folder, 'me.mp4');
    await writeVideo(files.video);
    files.rects = path.join(folder, 'rects.json');
    await writeFile(files.rects, JSON.stringify(Array.from({ length: PICTURES }, (_, frame) => rectOf(frame))));
  });

  async function submit(sound: 'long' | 'short', syncMode: SyncMode, output: 'mp4' | 'frames' = 'frames') {
    const footage = await footageOf(files.video, files.rects, syncMode);
    return (await farmOf().client.submit(files[sound], { footage, output })).id;
  }

  /** Which frame of the video each frame of a render shows, by the picture around the face. */
  async function shownBy(id: string): Promise<number[]> {
    const { client } = farmOf();
    const { frames } = await client.finished(id);
    const shown: number[] = [];
    for (let frame = 0; frame < (frames.total ?? 0); frame++) {
      const pixels = await sharp(await client.frame(id, frame))
        .raw()
        .toBuffer();
      shown.push(Math.round(((pixels[0] as number) - FIRST_GREY) / GREY_STEP));
    }
    return shown;
  }

  it('of own footage show its pictures, and a mouth in its place that follows the sound', async () => {
    const { client, folder } = farmOf();
    const { id } = await client.finished(await submit('long', 'cut', 'mp4'));
    const out = path.join(folder, 'dubbed.mp4');
    await client.saveVideo(id, out);
    const frames = await decodeFrames(out, SIZE.width, SIZE.height);
    assert.equal(frames.length, PICTURES, 'it ends with the video');
    const opening = frames.map((frame, index) => {
      const { face, around } = meansOf(frame, rectOf(index));
      assert.ok(Math.abs(around - greyOf(index)) < 4, `around the face of frame ${index}: ${around}`);
      return face - around;
    });
    assert.ok(Math.max(...opening) - Math.min(...opening) > 10, `the mouth moves: ${opening.map(Math.round)}`);
    const { footage, video, range } = await client.receipt(id);
    assert.deepEqual([footage?.pictures, footage?.sync_mode, footage?.marks], [PICTURES, 'cut', 'rects']);
    assert.deepEqual([video?.seconds, range], [PICTURES / 25, { from: 0, to: PICTURES, of: 50 }]);
    assert.ok(
      (await decodeSound(out)).some((sample) => Math.abs(sample) > 0.1),
      'the new sound is heard',
    );
    const gone = async () =>
      (await readdir(path.join(folder, 'data/renders', id))).every((name) => !/footage/.test(name));
    await until('nothing is left of the footage', gone);
  });

  it('of own footage last as their sync mode says, however sound and video differ in length', async () => {
    const forwards = Array.from({ length: PICTURES }, (_, index) => index);
    const more = 50 - PICTURES;
    const expected: [Parameters<typeof submit>[0], SyncMode, number[]][] = [
      ['short', 'cut', forwards.slice(0, 20)],
      ['short', 'silence', forwards],
      ['long', 'silence', forwards],
      ['long', 'loop', [...forwards, ...forwards.slice(0, more)]],
      ['long', 'bounce', [...forwards, ...forwards.toReversed().slice(1, more + 1)]],
      ['long', 'hold', [...forwards, ...Array<number>(more).fill(PICTURES - 1)]],
    ];
    const ids = await Promise.all(expected.map(([sound, mode]) => submit(sound, mode)));
    for (const [index, [sound, mode, frames]] of expected.entries()) {
      assert.deepEqual(await shownBy(ids[index] as string), frames, `${sound} sound, ${mode}`);
    }
  });

  it('of footage that cannot be used fail alone, and say what is wrong', async () => {
    const { client } = farmOf();
    const { video, marks } = await footageOf(files.video, files.rects);
    const rects = new Blob(['[[0, 0, 8, 8]]']);
    const faulty: [object, string, RegExp][] = [
      [{ video: new Blob(['no video at all']) }, 'video_unreadable', /me\.mp4/],
      [{ video: (video as Blob).slice(0, -200) }, 'video_unreadable', /me\.mp4/],
      [{ video: await openInput(files.short) }, 'video_unreadable', /no picture/],
      [{ marks: { ...marks, file: rects } }, 'landmarks_unusable', /1 frames.* 30 frames/],
      [{ marks: { form: 'landmarks', file: rects } }, 'landmarks_unusable', /landmarks has 1/],
    ];
    const renders = faulty.map(async ([part, code, message]) => {
      const footage = { video, fileName: 'me.mp4', marks, ...part };
      const { id } = await client.submit(files.short, { footage });
      await assert.rejects(client.finished(id), { code, message });
    });
    await Promise.all(renders);
  });
}

/** What frame `index` of the video is filled with. */
function greyOf(index: number): number {
  return FIRST_GREY + GREY_STEP * index;
}

async function writeVideo(file: string): Promise<void> {
  const { width, height } = SIZE;
  const raw = Buffer.concat(
    Array.from({ length: PICTURES }, (_, index) => Buffer.alloc(width * height * 3, greyOf(index))),
  );
  await writeFile(`${file}.raw`, raw);
  const input = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${width}x${height}`, '-r', '25', '-i', `${file}.raw`];
  await run('ffmpeg', ['-v', 'error', '-y', ...input, '-c:v', 'libx264', '-crf', '4', '-pix_fmt', 'yuv420p', file]);
}

function meansOf(frame: Uint8Array, [x1, y1, x2, y2]: readonly [number, number, number, number]) {
  const sums = { face: 0, around: 0, faceCount: 0, aroundCount: 0 };
  for (let y = 0; y < SIZE.height; y++) {
    for (let x = 0; x < SIZE.width; x++) {
      const value = frame[(y * SIZE.width + x) * 3] ?? 0;
      if (x >= x1 + 4 && x < x2 - 4 && y >= y1 + 4 && y < y2 - 4) {
        sums.face += value;
        sums.faceCount += 1;
      } else if (x < x1 - 4 || x >= x2 + 4 || y < y1 - 4 || y >= y2 + 4) {
        sums.around += value;
        sums.aroundCount += 1;
      }
    }
  }
  return { face: sums.face / sums.faceCount, around: sums.around / sums.aroundCount };
}
