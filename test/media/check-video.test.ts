import assert from 'node:assert/strict';
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
