import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import sharp from 'sharp';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import { listBackgroundFiles } from '../../worker/avatar/background-files.ts';
import { extractFrames } from '../../worker/avatar/extract-frames.ts';
import { framesInPictures, listFootageFrames } from '../../worker/avatar/footage-frames.ts';

const run = promisify(execFile);
const NEVER = new AbortController().signal;
const SIDE = 16;
const FRAMES = 48;
/** Far enough apart to be told from each other in a JPEG, near enough for all of them. */
const GREY_STEP = 5;

/** With ALL_RATES set all of them are tried, otherwise the first two. */
const RATES = [
  ['film.mp4', '24000/1001'],
  ['twice.mp4', '50'],
  ['same.mkv', '25'],
  ['slow.avi', '6'],
  ['usual.mkv', '30000/1001'],
  ['quick.mov', '60'],
] as const;

/** Videos whose frames say their own number, in every rate and container that a phone or an editor writes. */
describe('the frames of a video and the pictures taken from it', () => {
  let folder = '';

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-footage-'));
    const grey = (index: number) => Buffer.alloc(SIDE * SIDE, 8 + GREY_STEP * index);
    await writeFile(path.join(folder, 'frames.raw'), Buffer.concat(Array.from({ length: FRAMES }, (_, i) => grey(i))));
  });
  after(async () => await rm(folder, { recursive: true, force: true }));

  async function write(name: string, rate: string, options: readonly string[] = []): Promise<string> {
    const file = path.join(folder, name);
    const raw = ['-f', 'rawvideo', '-pix_fmt', 'gray', '-s', `${SIDE}x${SIDE}`, '-r', rate];
    const sound = ['-f', 'lavfi', '-i', 'anullsrc=r=16000', '-shortest'];
    const input = [...raw, '-i', path.join(folder, 'frames.raw'), ...sound];
    const encoder = name.endsWith('.avi')
      ? ['-c:v', 'ffv1', '-pix_fmt', 'yuv420p']
      : ['-c:v', 'libx264', '-qp', '0', '-bf', '2', '-pix_fmt', 'yuv420p'];
    await run('ffmpeg', ['-v', 'error', ...input, ...options, ...encoder, file]);
    return file;
  }

  /** The numbers that the pictures of a video say, and those that they should. */
  async function compare(file: string, frameRate: FrameRate = 25): Promise<number[]> {
    const pictures = `${file}.pictures`;
    const count = await extractFrames(file, pictures, { rate: frameRate }, NEVER);
    const said: number[] = [];
    for (const picture of await listBackgroundFiles(pictures)) {
      const { data } = await sharp(picture).greyscale().raw().toBuffer({ resolveWithObject: true });
      said.push(Math.round(((data[0] as number) - 8) / GREY_STEP));
    }
    const facts = await listFootageFrames(file, 'me.mp4', NEVER);
    assert.equal(facts.frameTicks.length, FRAMES);
    assert.deepEqual(framesInPictures(facts, count, frameRate), said, path.basename(file));
    return said;
  }

  for (const [name, rate] of RATES.slice(0, process.env.ALL_RATES ? undefined : 2)) {
    it(`belong together at ${rate} frames a second in ${name.slice(-3)}`, async () => {
      const shown = await compare(await write(name, rate));
      assert.ok(new Set(shown).size > Math.min(FRAMES, shown.length) * 0.9, 'hardly a picture is shown in vain');
    });
  }

  it('belong together when frames come at uneven times', async () => {
    const uneven = "settb=1/1000,setpts='N*33+7*mod(N\\,5)+40*gte(N\\,20)'";
    await compare(
      await write('phone.mp4', '30', ['-vf', uneven, '-fps_mode', 'vfr', '-video_track_timescale', '90000']),
    );
  });

  it('belong together when the sound begins before the picture, at 20 a second as well', async () => {
    const late = await write('late.mkv', '30', ['-vf', 'setpts=PTS+0.31/TB', '-fps_mode', 'passthrough']);
    await compare(late, 20);
  });
});
