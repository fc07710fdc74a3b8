import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { before, suite, test } from 'node:test';
import { promisify } from 'node:util';
import { PlaneConverter } from '../../worker/compositor/plane-converter.ts';
import { planeLayout } from '../../worker/compositor/planes.ts';
import { checkInStep } from '../../worker/media/check-video.ts';
import { decodeAudio } from '../../worker/media/decode-audio.ts';
import { SegmentEncoder } from '../../worker/media/encode-segment.ts';
import { joinMp4 } from '../../worker/media/join-mp4.ts';
import { joinCommand, segmentList } from '../../worker/media/join-segments.ts';
import { soundtrackCommand } from '../../worker/media/soundtrack.ts';
import type { RgbImage } from '../../worker/pipeline/contract.ts';
import { runFfmpeg } from '../../worker/tools/ffmpeg.ts';
import { syllables, writeWav } from '../support/sound.ts';
import {
  boxesOf,
  ffmpeg,
  lavfi,
  loudest,
  privateFolder,
  readSamples,
  readTracks,
  type Track,
  trackOf,
} from './media-files.ts';

const run = promisify(execFile);
const file = privateFolder();
const NEVER = new AbortController().signal;
const SETTINGS = { crf: 20, preset: 'veryfast' };
const FRAME_S = 0.04;
const converter = new PlaneConverter();
const GREY_64_BY_48 = new Uint8Array(64 * 48 * 1.5).fill(128);

/** A picture whose content moves with the frame number. */
function drawFrame(frameIndex: number, width: number, height: number): RgbImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (y * width + x) * 3;
      data[at] = (x * 4 + frameIndex * 5) & 255;
      data[at + 1] = (y * 4 + frameIndex * 3) & 255;
      data[at + 2] = (x * y + frameIndex) & 255;
    }
  }
  return { width, height, data };
}

function planesOf(picture: RgbImage): Uint8Array {
  const planes = new Uint8Array(planeLayout(picture).byteLength);
  converter.convertArea(picture, { x1: 0, y1: 0 }, picture, planes);
  return planes;
}

async function encode(name: string, frames: { start: number; end: number }, width = 64, height = 48): Promise<string> {
  const encoder = new SegmentEncoder(planeLayout({ width, height }), SETTINGS, file(name), NEVER);
  for (let index = frames.start; index < frames.end; index++)
    await encoder.write(planesOf(drawFrame(index, width, height)));
  await encoder.finish();
  return file(name);
}

/** Seconds of a time stamp that lies on the grid of 25 frames a second, as a frame number. */
function frameAt(ptsS: number): number {
  const frame = ptsS / FRAME_S;
  assert.ok(Math.abs(frame - Math.round(frame)) < 1e-4, `${ptsS} s is not a multiple of 40 ms`);
  return Math.round(frame);
}

const SEGMENTS = [
  { start: 0, end: 60 },
  { start: 60, end: 80 },
];
const FRAME_COUNT = 80;

suite('segments', { concurrency: 3 }, () => {
  test('a segment has every frame on the 40 ms grid and begins with a keyframe', async () => {
    const { packets, frameCount, frameRate } = await trackOf(await encode('grid.mp4', { start: 0, end: 60 }), 'video');
    assert.equal(frameCount, 60);
    assert.equal(frameRate, '25/1');
    assert.deepEqual(
      packets.map(({ ptsS }) => frameAt(ptsS)),
      Array.from({ length: 60 }, (_, index) => index),
    );
    assert.deepEqual(
      packets.flatMap(({ isKey }, index) => (isKey ? [index] : [])),
      [0, 50],
    );
  });

  test('the same frames encoded twice are the same bytes', async () => {
    const range = { start: 10, end: 40 };
    const [once, twice] = await Promise.all([encode('once.mp4', range), encode('twice.mp4', range)]);
    assert.deepEqual(await readFile(once), await readFile(twice));
  });

  test('one frame is a segment', async () => {
    const { frameCount, packets } = await trackOf(await encode('single.mp4', { start: 3, end: 4 }), 'video');
    assert.equal(frameCount, 1);
    assert.equal(packets[0]?.ptsS, 0);
  });

  test('odd picture sizes are padded to even ones', async () => {
    const { width, height, frameCount } = await trackOf(await encode('odd.mp4', { start: 0, end: 5 }, 63, 47), 'video');
    assert.deepEqual({ width, height, frameCount }, { width: 64, height: 48, frameCount: 5 });
  });

  test('the picture comes back as it went in, colours and all', async () => {
    const [width, height] = [64, 48];
    const encoder = new SegmentEncoder({ width, height }, { crf: 1, preset: 'veryfast' }, file('colour.mp4'), NEVER);
    const flat = new Uint8Array(width * height * 3);
    for (let at = 0; at < flat.length; at += 3) flat.set([200, 60, 30], at);
    await encoder.write(planesOf({ width, height, data: flat }));
    await encoder.finish();
    await ffmpeg('-i', file('colour.mp4'), '-f', 'rawvideo', '-pix_fmt', 'rgb24', file('colour.rgb'));
    const decoded = await readFile(file('colour.rgb'));
    assert.equal(decoded.length, flat.length);
    for (const [channel, value] of [200, 60, 30].entries()) {
      const middle = decoded[(24 * width + 32) * 3 + channel] ?? 0;
      assert.ok(Math.abs(middle - value) <= 3, `channel ${channel}: ${middle}, expected ${value}`);
    }
  });

  test('an encoder that cannot write its file says so instead of waiting for ever', async () => {
    const [width, height] = [640, 480];
    const encoder = new SegmentEncoder({ width, height }, SETTINGS, file('nowhere/segment.mp4'), NEVER);
    const planes = new Uint8Array((width * height * 3) / 2);
    await assert.rejects(
      async () => {
        for (let count = 0; count < 50; count++) await encoder.write(planes);
        await encoder.finish();
      },
      { code: 'encode_failed', message: /No such file or directory/ },
    );
  });

  test('an abandoned encoder has ended, and abandoning a finished one is fine', async () => {
    const encoder = new SegmentEncoder({ width: 64, height: 48 }, SETTINGS, file('abandoned.mp4'), NEVER);
    await encoder.write(GREY_64_BY_48);
    await encoder.abandon();
    await assert.rejects(encoder.finish());
    const finished = new SegmentEncoder({ width: 64, height: 48 }, SETTINGS, file('finished.mp4'), NEVER);
    await finished.write(GREY_64_BY_48);
    await finished.finish();
    await finished.abandon();
  });

  test('aborting rejects with the reason, whether it waits in write or in finish', async () => {
    const abort = new AbortController();
    const encoder = new SegmentEncoder({ width: 64, height: 48 }, SETTINGS, file('aborted.mp4'), abort.signal);
    await encoder.write(GREY_64_BY_48);
    const reason = new Error('cancelled');
    abort.abort(reason);
    await assert.rejects(encoder.finish(), reason);
  });
});

const PARTS = SEGMENTS.map((_, index) => file(`parts/00000${index}.mp4`));

/** Joins the two segments with a sound, as the farm does. */
async function join(sound: string, frameCount = FRAME_COUNT): Promise<string> {
  const output = file(`joined-${sound}.mp4`);
  const ear = file(`${sound}.s16`);
  const decoded = await decodeAudio(file(sound), { mouth: file(`${sound}.f32`), ear }, 60, NEVER);
  const soundtrack = file(`${sound}.mp4`);
  const limits = { signal: NEVER, timeoutMs: 60_000 };
  await runFfmpeg(soundtrackCommand({ ...decoded.ear, path: ear }, { start: 0, end: frameCount }, soundtrack), limits);
  assert.equal(await joinMp4(PARTS, soundtrack, output, NEVER), undefined);
  await checkInStep(output, frameCount, NEVER);
  return output;
}

/** A checksum of what a track decodes to, and all that ffmpeg says meanwhile. */
async function decoded(name: string, track: string): Promise<{ stdout: string; stderr: string }> {
  return await run('ffmpeg', ['-v', 'warning', '-i', name, '-map', `0:${track}`, '-f', 'md5', '-']);
}

function secondsOf({ packets }: Track): number {
  return packets.reduce((sum, { durationS }) => sum + durationS, 0);
}

/** A click of one sample, `seconds` into the sound. */
const click = (seconds: number, length: number, rateHz = 48_000) =>
  `aevalsrc=0.9*eq(n\\,${Math.round(seconds * rateHz)}):s=${rateHz}:d=${length}`;

suite('joined videos', { concurrency: 3 }, () => {
  /** Joined with sound of as many channels that is as long as the picture. */
  let mono = '';
  let stereo = '';

  before(async () => {
    await mkdir(file('parts'));
    await Promise.all(SEGMENTS.map((range, index) => encode(`parts/00000${index}.mp4`, range)));
    await writeFile(file('parts/all.ffconcat'), segmentList(['000000.mp4', '000001.mp4']));
    await ffmpeg(...lavfi('sine=d=3.2:r=44100'), '-ac', '2', file('stereo.wav'));
    await writeWav(file('mono.wav'), syllables(3.2));
    [mono, stereo] = [await join('mono.wav'), await join('stereo.wav')];
  });

  test('two segments make one video with every frame on the grid and a keyframe where each begins', async () => {
    const [video, audio] = await readTracks(stereo);
    assert.ok(video && audio);
    assert.equal(video.frameCount, FRAME_COUNT);
    assert.deepEqual(
      video.packets.map(({ ptsS }) => frameAt(ptsS)),
      Array.from({ length: FRAME_COUNT }, (_, index) => index),
    );
    const keys = video.packets.flatMap(({ isKey }, index) => (isKey ? [index] : []));
    assert.deepEqual(keys, [0, 50, 60]);
    assert.equal(video.codec, 'h264');
    assert.equal(video.pixelFormat, 'yuv420p');
    assert.equal(video.frameRate, '25/1');
    assert.equal(audio.channels, 2);
  });

  test('the joined pictures are those of the segments, bit for bit', async () => {
    const raw = ['-f', 'rawvideo', '-pix_fmt', 'yuv420p'];
    const parts = SEGMENTS.map((_, index) => `parts/00000${index}`);
    const inputs = [...parts.map((part) => file(`${part}.mp4`)), stereo].flatMap((name) => ['-i', name]);
    const outputs = [...parts, 'joined'].flatMap((name, at) => ['-map', `${at}:v`, ...raw, file(`${name}.yuv`)]);
    await ffmpeg(...inputs, ...outputs);
    const expected = Buffer.concat(await Promise.all(parts.map((part) => readFile(file(`${part}.yuv`)))));
    assert.ok(expected.equals(await readFile(file('joined.yuv'))));
  });

  test('it is what ffmpeg makes of the same parts, packet by packet, and ffmpeg has nothing to say of it', async () => {
    const byFfmpeg = file('by-ffmpeg.mp4');
    const command = joinCommand(file('parts/all.ffconcat'), file('stereo.wav.mp4'), byFfmpeg);
    await runFfmpeg(command, { signal: NEVER, timeoutMs: 60_000 });
    assert.deepEqual(await readTracks(stereo), await readTracks(byFfmpeg));
    for (const track of ['v', 'a']) {
      const [ours, theirs] = await Promise.all([stereo, byFfmpeg].map((name) => decoded(name, track)));
      assert.match(ours?.stdout ?? '', /^MD5=\w+/);
      assert.deepEqual(ours, { stdout: theirs?.stdout, stderr: '' });
    }
  });

  test('pictures and sound of the same half second lie side by side', async () => {
    const { stdout } = await run('ffprobe', [
      '-v',
      'error',
      '-show_entries',
      'packet=pts_time,pos',
      '-of',
      'csv',
      stereo,
    ]);
    const packets = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(',').slice(1).map(Number))
      .sort(([, a = 0], [, b = 0]) => a - b);
    let latest = 0;
    for (const [seconds = 0] of packets) {
      assert.ok(seconds > latest - 0.6, `what is played at ${seconds} s lies behind what is played at ${latest} s`);
      latest = Math.max(latest, seconds);
    }
  });

  const unusual: [what: string, input: string[], coding: string[], said: RegExp][] = [
    ['B-frames', [], ['-bf', '2'], /a box ctts/],
    ['other settings of the encoder', [], ['-profile:v', 'baseline'], /several forms/],
    ['another rate', ['-r', '20'], [], /several forms/],
    ['fragments', [], ['-movflags', '+frag_keyframe+empty_moov'], /fragments/],
    ['a second track', lavfi('sine=d=1'), ['-c:a', 'aac'], /several boxes trak/],
  ];
  for (const [what, input, coding, said] of unusual) {
    test(`a segment with ${what} is left to ffmpeg`, async () => {
      const name = file(`${what.replaceAll(' ', '-')}.mp4`);
      const h264 = ['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '20', '-bf', '0', '-threads', '2'];
      await ffmpeg('-i', PARTS[1] as string, ...input, ...h264, ...coding, name);
      const parts = [PARTS[0] as string, name];
      assert.match((await joinMp4(parts, file('mono.wav.mp4'), file('left.mp4'), NEVER)) ?? '', said);
    });
  }

  test('a segment that is cut off, or none at all, is left to ffmpeg', async () => {
    const [first = '', second = ''] = PARTS;
    const bytes = await readFile(second);
    // The index comes after the pictures, so there is none in the first case, and no pictures in the second one.
    const [kind, index] = [bytes.subarray(0, bytes.readUInt32BE()), bytes.subarray(bytes.indexOf('moov') - 4)];
    const cuts = [bytes.subarray(0, 900), Buffer.concat([kind, index])];
    for (const [at, cut] of cuts.entries()) {
      await writeFile(file(`cut-${at}.mp4`), cut);
      const joined = joinMp4([first, file(`cut-${at}.mp4`)], file('mono.wav.mp4'), file('left.mp4'), NEVER);
      assert.match((await joined) ?? '', at === 0 ? /another length/ : /an end before its time/);
    }
    assert.equal(await joinMp4([], file('mono.wav.mp4'), file('left.mp4'), NEVER), 'no segment');
  });

  const damages: [box: string, at: number, value: number, said: RegExp][] = [
    ['stsz', 8, 0xffff_ffff, /more samples than the file holds/],
    ['stsc', 16, 0xffff_ffff, /more samples in a place/],
    ['stts', 16, 0xffff_ffff, /far apart/],
    ['mdhd', 16, 0, /far apart/],
    ['mvhd', -4, 12, /another length|out of range/],
  ];
  for (const [box, at, value, said] of damages) {
    test(`sound with a damaged box ${box} is left to ffmpeg, at once`, async () => {
      const bytes = await readFile(file('mono.wav.mp4'));
      bytes.writeUInt32BE(value, bytes.lastIndexOf(box) + at);
      await writeFile(file(`damaged-${box}.mp4`), bytes);
      const joined = joinMp4(PARTS, file(`damaged-${box}.mp4`), file('left.mp4'), NEVER);
      assert.match((await joined) ?? '', said);
    });
  }

  test('segments of more than 4 GB together are left to ffmpeg', async () => {
    const bytes = await readFile(PARTS[0] as string);
    const [data, index, sizes] = ['mdat', 'moov', 'stsz'].map((name) => bytes.indexOf(name) - 4) as [
      number,
      number,
      number,
    ];
    // Its last picture grows to 2.2 GB, which take no room on the disk.
    const grown = 2_200_000_000;
    const lastAt = sizes + 16 + 4 * bytes.readUInt32BE(sizes + 16);
    bytes.writeUInt32BE(bytes.readUInt32BE(lastAt) + grown, lastAt);
    bytes.writeUInt32BE(bytes.readUInt32BE(data) + grown, data);
    await using large = await open(file('large.mp4'), 'w');
    await large.write(bytes.subarray(0, index));
    await large.write(bytes.subarray(index), undefined, undefined, index + grown);
    const parts = [file('large.mp4'), file('large.mp4')];
    assert.equal(await joinMp4(parts, file('mono.wav.mp4'), file('left.mp4'), NEVER), 'more than 4 GB');
  });

  test('a full disk and a missing part are said as they are, and an aborted joining ends with the reason', async () => {
    const sound = file('mono.wav.mp4');
    await assert.rejects(joinMp4(PARTS, sound, '/dev/full', NEVER), { code: 'ENOSPC' });
    await assert.rejects(joinMp4(PARTS, file('nowhere.mp4'), file('left.mp4'), NEVER), { code: 'ENOENT' });
    const reason = new Error('cancelled');
    await assert.rejects(joinMp4(PARTS, sound, file('left.mp4'), AbortSignal.abort(reason)), reason);
  });

  test('a player can start before the whole file is there', async () => {
    const boxes = await boxesOf(mono);
    assert.ok(boxes.indexOf('moov') < boxes.indexOf('mdat'), boxes.join());
    assert.equal(boxes[0], 'ftyp');
  });

  for (const [what, seconds] of [
    ['as long as the picture', FRAME_COUNT * FRAME_S],
    ['half a frame shorter', 3.18],
    ['much shorter', 0.5],
    ['much longer', 9],
  ] as const) {
    test(`sound ${what} ends within one frame of the picture, counted by packets too`, async () => {
      const name = `sound-${seconds}.wav`;
      await writeWav(file(name), syllables(seconds));
      const [video, audio] = await readTracks(seconds === FRAME_COUNT * FRAME_S ? mono : await join(name));
      assert.ok(video?.kind === 'video' && audio?.kind === 'audio');
      assert.ok(Math.abs(audio.durationS - video.durationS) <= FRAME_S, `${audio.durationS} and ${video.durationS} s`);
      assert.ok(Math.abs(secondsOf(audio) - secondsOf(video)) <= FRAME_S + 1e-6, `${secondsOf(audio)} s of packets`);
    });
  }

  test('mono stays mono, and the receipt measures what the file says', async () => {
    const audio = await trackOf(mono, 'audio');
    const measured = await checkInStep(mono, FRAME_COUNT, NEVER);
    assert.deepEqual(measured, { videoSeconds: FRAME_COUNT * FRAME_S, audioSeconds: audio.durationS });
    assert.equal(audio.channels, 1);
    assert.equal(audio.codec, 'aac');
  });

  test('surround sound becomes stereo and does not clip', async () => {
    const voice = '0.9*sin(2764*t)';
    const channels = [voice, voice, voice, '0', voice, voice].join('|');
    await ffmpeg(...lavfi(`aevalsrc=${channels}:s=48000:d=3.2:c=5.1`), '-c:a', 'pcm_s16le', file('surround.wav'));
    const output = await join('surround.wav');
    assert.equal((await trackOf(output, 'audio')).channels, 2);
    await ffmpeg('-i', output, '-f', 'f32le', '-c:a', 'pcm_f32le', file('surround.f32'));
    const samples = await readSamples(file('surround.f32'));
    const peak = Math.abs(samples[loudest(samples)] ?? 0);
    assert.ok(peak > 0.8 && peak < 1, `${peak}`);
  });

  /** A click in a file whose own time stamps begin elsewhere must not move: picture and sound are cut alike. */
  for (const [what, name, offset] of [
    ['a WAV file', 'click.wav', ''],
    ['an M4A file', 'click.m4a', ''],
    ['a file whose time stamps begin late', 'late.mkv', '0.6'],
  ] as const) {
    test(`the sound of ${what} lies in the video where the pipeline hears it`, async () => {
      if (offset) {
        await ffmpeg(...lavfi(click(1, 3.2)), '-c:a', 'flac', file('prompt.mkv'));
        await ffmpeg('-itsoffset', offset, '-i', file('prompt.mkv'), '-c', 'copy', file(name));
      } else {
        await ffmpeg(...lavfi(click(1, 3.2)), file(name));
      }
      const output = await join(name);
      const heardS = loudest(await readSamples(file(`${name}.f32`))) / 16_000;
      await ffmpeg('-i', output, '-vn', '-ac', '1', '-c:a', 'pcm_f32le', '-f', 'f32le', file(`${name}.out`));
      const playedS = loudest(await readSamples(file(`${name}.out`))) / 48_000;
      assert.ok(Math.abs(heardS - 1) < 0.002, `the pipeline hears it at ${heardS} s`);
      assert.ok(Math.abs(playedS - heardS) < 0.002, `heard at ${heardS} s, played at ${playedS} s`);
    });
  }

  test('the same parts joined twice are the same bytes', async () => {
    await copyFile(file('stereo.wav'), file('again.wav'));
    assert.ok((await readFile(stereo)).equals(await readFile(await join('again.wav'))));
  });
});
