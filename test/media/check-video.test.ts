import assert from 'node:assert/strict';
import { copyFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { before, suite, test } from 'node:test';
import { checkInStep } from '../../worker/media/check-video.ts';
import { ffmpeg, lavfi, privateFolder } from './media-files.ts';

const file = privateFolder();
const NEVER = new AbortController().signal;
const FRAMES = 50;
const VIDEO = ['-c:v', 'libx264', '-preset', 'ultrafast', '-bf', '0', '-c:a', 'aac'];
const picture = lavfi('testsrc=s=64x48:r=25:d=2');

suite('a finished video is looked at, packet by packet', { concurrency: 3 }, () => {
  before(async () => await ffmpeg(...picture, ...lavfi('sine=d=2:r=48000'), ...VIDEO, file('good.mp4')));

  test('one that is in step passes', async () => {
    await checkInStep(file('good.mp4'), FRAMES, NEVER);
  });

  test('a picture too few is named', async () => {
    await assert.rejects(checkInStep(file('good.mp4'), FRAMES + 1, NEVER), {
      code: 'encode_failed',
      message: 'The finished video is not in step: it has 50 of 51 pictures',
    });
  });

  const faults: [string, string[], RegExp][] = [
    [
      'sound that ends early',
      [...picture, ...lavfi('sine=d=1.9:r=48000')],
      /picture and sound end at 2\.000 s and 1\.9/,
    ],
    ['sound that goes on', [...picture, ...lavfi('sine=d=2.2:r=48000')], /picture and sound end at 2\.000 s and 2\.2/],
    ['no sound', picture, /it has no sound/],
    [
      'sound with a gap',
      [...picture, ...lavfi('sine=d=2:r=48000'), '-af', "aselect='not(between(t,0.5,1))'"],
      /packet \d+ of the sound is at 1\.0\d+ s, expected 0\.5\d+ s/,
    ],
    [
      'sound that begins late',
      [...picture, '-itsoffset', '0.2', ...lavfi('sine=d=1.8:r=48000')],
      /picture and sound begin at 0\.000 s and 0\.1/,
    ],
  ];
  const slow = [...lavfi('testsrc=s=64x48:r=20:d=2.5'), ...lavfi('sine=d=2.5:r=48000')];
  faults.push(['a picture too slow', slow, /packets of the picture come every 0\.05 s, expected 0\.04 s/]);
  for (const [what, inputs, message] of faults) {
    test(`${what} is named`, async () => {
      const name = `${what.replaceAll(' ', '-')}.mp4`;
      await ffmpeg(...inputs, ...VIDEO, file(name));
      await assert.rejects(checkInStep(file(name), FRAMES, NEVER), { code: 'encode_failed', message });
    });
  }

  test('one that was cut off is named, wherever that was', async () => {
    const { length } = await readFile(file('good.mp4'));
    for (const bytes of [length - 1, length - 300, length >> 1]) {
      await copyFile(file('good.mp4'), file('cut.mp4'));
      await truncate(file('cut.mp4'), bytes);
      await assert.rejects(checkInStep(file('cut.mp4'), FRAMES, NEVER), {
        code: 'encode_failed',
        message: new RegExp(`^The finished video is not whole: it was cut off: it has ${bytes} bytes of`),
      });
    }
  });

  /** Of the first track, the picture's: where in a box, counted from its name, which number is put there, and what is said. */
  const inIndex: [what: string, box: string, at: number, value: number, message: RegExp][] = [
    ['a picture that is longer', 'stsz', 16 + 4 * 20, 900, /is damaged: picture 20 has other bytes than its own/],
    ['pictures that lie elsewhere', 'stco', 12, 700, /is damaged: picture 0 has other bytes than its own/],
    ['pictures that lie behind the end', 'stco', 12, 0x7fffffff, /not in step: it has no picture/],
    ['pictures without a time', 'stts', 12, 30, /not in step: it has 30 of 50 pictures/],
    ['no settings of a decoder', 'avcC', 0, 0x66726565, /cannot be read: AVC decoder description/],
    ['no tracks', 'moov', 0, 0x66726565, /is not whole: it has no index/],
  ];
  for (const [what, box, at, value, message] of inIndex) {
    test(`an index with ${what} is named`, async () => {
      const bytes = await readFile(file('good.mp4'));
      bytes.writeUInt32BE(value, bytes.indexOf(box) + at);
      const name = file(`${what.replaceAll(' ', '-')}.mp4`);
      await writeFile(name, bytes);
      await assert.rejects(checkInStep(name, FRAMES, NEVER), { code: 'encode_failed', message });
    });
  }

  test('what is not there is a fault of the machine, and an aborted check ends with the reason', async () => {
    await assert.rejects(checkInStep(file('nowhere.mp4'), FRAMES, NEVER), { code: 'ENOENT' });
    const reason = new Error('cancelled');
    await assert.rejects(checkInStep(file('good.mp4'), FRAMES, AbortSignal.abort(reason)), reason);
  });

  test('a WebM counts in milliseconds, at either rate, and must have the alpha that it promises', async () => {
    const coding = ['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-c:a', 'libopus'];
    for (const [frameRate, otherRate, count] of [
      [25, 20, 10],
      [20, 25, 8],
    ] as const) {
      const name = `${frameRate}.webm`;
      const clip = lavfi(`testsrc=s=64x48:r=${frameRate}:d=0.4`);
      await ffmpeg(...clip, ...lavfi('sine=d=0.4:r=48000'), ...coding, '-pix_fmt', 'yuva420p', file(name));
      await checkInStep(file(name), count, NEVER, { output: 'webm', hasAlpha: true, frameRate });
      const other = checkInStep(file(name), count, NEVER, {
        output: 'webm',
        hasAlpha: true,
        frameRate: otherRate,
      });
      await assert.rejects(other, /packets of the picture come every 0\.0[45] s, expected/);
    }
    const clip = [...lavfi('testsrc=s=64x48:r=25:d=0.4'), ...lavfi('sine=d=0.4:r=48000')];
    await ffmpeg(...clip, ...coding, '-pix_fmt', 'yuv420p', file('opaque.webm'));
    await assert.rejects(checkInStep(file('opaque.webm'), 10, NEVER, { output: 'webm', hasAlpha: true }), {
      message: 'The finished video is not in step: 0 of 10 pictures have alpha',
    });
  });
});
