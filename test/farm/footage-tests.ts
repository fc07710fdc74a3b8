import assert from 'node:assert/strict';
import path from 'node:path';
import { before, it } from 'node:test';
import sharp from 'sharp';
import { openInput } from '../../client/node/files.ts';
import { footageOf } from '../../client/node/footage.ts';
import type { SyncMode } from '../../shared/renders/footage.ts';
import type { TestFarm } from '../support/farm.ts';
import { decodeFrames, decodeSound } from '../support/ffprobe.ts';
import {
  type Corners,
  FOOTAGE_FRAMES,
  FOOTAGE_SIZE,
  faceIn,
  frameOfGrey,
  greyOf,
  writeFootage,
} from '../support/footage.ts';
import { runCli } from '../support/run-cli.ts';
import { syllables, writeWav } from '../support/sound.ts';

const SECONDS = { long: 0.8, short: 0.32 } as const;

/** Renders of a person's own video, at a farm that others have started. */
export function footageTests(farmOf: () => TestFarm): void {
  const files = { video: '', rects: '', landmarks: '', long: '', short: '' };

  before(async () => {
    const { folder } = farmOf();
    for (const name of ['long', 'short'] as const) {
      files[name] = path.join(folder, `${name}.wav`);
      await writeWav(files[name], syllables(SECONDS[name]));
    }
    Object.assign(files, await writeFootage(folder));
  });

  async function submit(sound: 'long' | 'short', syncMode: SyncMode, fps: 20 | 25): Promise<string> {
    const footage = await footageOf(files.video, files.rects, syncMode);
    return (await farmOf().client.submit(files[sound], { footage, output: 'frames', fps })).id;
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
      shown.push(frameOfGrey(pixels[0] as number));
    }
    return shown;
  }

  it('of own footage show its pictures, and a mouth in its place that follows the sound', async () => {
    const { client, folder, url } = farmOf();
    const out = path.join(folder, 'dubbed.mp4');
    const asked = ['--video', files.video, '--landmarks', files.landmarks, '--out', out];
    const run = runCli('render', files.long, ...asked, '--url', url);
    assert.equal(await run.exited, 0, run.output());
    const id = (await client.list(1)).renders[0]?.id ?? '';
    const frames = await decodeFrames(out, FOOTAGE_SIZE.width, FOOTAGE_SIZE.height);
    assert.equal(frames.length, FOOTAGE_FRAMES, 'it ends with the video');
    const opening = frames.map((frame, index) => {
      const { face, around } = meansOf(frame, faceIn(index));
      assert.ok(Math.abs(around - greyOf(index)) < 4, `around the face of frame ${index}: ${around}`);
      return face - around;
    });
    assert.ok(Math.max(...opening) - Math.min(...opening) > 10, `the mouth moves: ${opening.map(Math.round)}`);
    const { footage, video, range } = await client.receipt(id);
    assert.deepEqual([footage?.pictures, footage?.sync_mode, footage?.marks], [FOOTAGE_FRAMES, 'cut', 'landmarks']);
    assert.deepEqual([video?.seconds, range], [FOOTAGE_FRAMES / 25, { from: 0, to: FOOTAGE_FRAMES, of: 20 }]);
    assert.ok(
      (await decodeSound(out)).some((sample) => Math.abs(sample) > 0.1),
      'the new sound is heard',
    );
  });

  it('of own footage last as their sync mode says, however sound and video differ in length', async () => {
    const forwards = Array.from({ length: FOOTAGE_FRAMES }, (_, index) => index);
    const more = 20 - FOOTAGE_FRAMES;
    const expected: [...Parameters<typeof submit>, number[]][] = [
      ['short', 'silence', 25, forwards],
      // Frame 2 is seen at 0.08 s and 3 at 0.12 s: the grid of 20 a second has 3 at 0.1 s.
      ['long', 'cut', 20, [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]],
      ['long', 'loop', 25, [...forwards, ...forwards.slice(0, more)]],
      ['long', 'bounce', 25, [...forwards, ...forwards.toReversed().slice(1, more + 1)]],
      ['long', 'hold', 25, [...forwards, ...Array<number>(more).fill(FOOTAGE_FRAMES - 1)]],
    ];
    const ids = await Promise.all(expected.map(([sound, mode, fps]) => submit(sound, mode, fps)));
    for (const [index, [sound, mode, fps, frames]] of expected.entries()) {
      assert.deepEqual(await shownBy(ids[index] as string), frames, `${sound} sound, ${mode}, ${fps} a second`);
    }
  });

  it('of footage that cannot be used fail alone, and say what is wrong', async () => {
    const { client } = farmOf();
    const { video, marks } = await footageOf(files.video, files.rects);
    const rects = new Blob(['[[0, 0, 8, 8]]']);
    const faulty: [object, string, RegExp][] = [
      [{ video: (video as Blob).slice(0, -200) }, 'video_unreadable', /me\.mp4/],
      [{ video: await openInput(files.short) }, 'video_unreadable', /no picture/],
      [{ marks: { ...marks, file: rects } }, 'landmarks_unusable', /1 frames.* 12 frames/],
    ];
    const renders = faulty.map(async ([part, code, message]) => {
      const footage = { video, fileName: 'me.mp4', marks, ...part };
      const { id } = await client.submit(files.short, { footage });
      await assert.rejects(client.finished(id), { code, message });
    });
    await Promise.all(renders);
  });
}

function meansOf(frame: Uint8Array, [x1, y1, x2, y2]: Corners) {
  const sums = { face: 0, around: 0, faceCount: 0, aroundCount: 0 };
  for (let y = 0; y < FOOTAGE_SIZE.height; y++) {
    for (let x = 0; x < FOOTAGE_SIZE.width; x++) {
      const value = frame[(y * FOOTAGE_SIZE.width + x) * 3] ?? 0;
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
