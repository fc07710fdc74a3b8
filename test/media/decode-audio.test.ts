import assert from 'node:assert/strict';
import { appendFile, copyFile, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, suite, test } from 'node:test';
import { decodeAudio } from '../../worker/media/decode-audio.ts';
import { probe } from '../../worker/tools/ffmpeg.ts';
import { writeFloatWav, writeWav } from '../support/sound.ts';
import { ffmpeg, lavfi, loudest, privateFolder, readSamples, rms } from './media-files.ts';

const file = privateFolder();
const NEVER = new AbortController().signal;
const RATE_HZ = 16_000;
const LIMIT_S = 60;

/** Decodes `name` the way the farm does: from a file called `upload`, without an extension. */
async function decode(name: string, maxSeconds = LIMIT_S) {
  const folder = file(`store-${name}`);
  await mkdir(folder, { recursive: true });
  const [upload, decoded] = [path.join(folder, 'upload'), path.join(folder, 'audio.f32')];
  await copyFile(file(name), upload);
  const { sampleCount } = await decodeAudio(upload, { mouth: decoded }, maxSeconds, NEVER);
  const samples = await readSamples(decoded);
  assert.equal(samples.length, sampleCount);
  return samples;
}

const SECONDS = 1.5;
const AMPLITUDE = 0.25;
/** A tone where a voice is: in every channel, or in the centre. It must come out as loud as it went in. */
function tone(channels: 'mono' | 'stereo' | '5.1', rateHz = 48_000): string[] {
  const voice = `${AMPLITUDE}*sin(2764*t)`;
  const voices = { mono: voice, stereo: `${voice}|${voice}`, '5.1': `0|0|${voice}|0|0|0` }[channels];
  return lavfi(`aevalsrc=${voices}:s=${rateHz}:d=${SECONDS}:c=${channels}`);
}

const [MONO, STEREO, SURROUND] = ['0', '1', '2'];

/** Name, input, options, samples in a packet, the file's rate. Where a packet has none, nothing may be lost. */
type Sound = readonly [string, string, readonly string[], number, number];
const SOUNDS: Sound[] = [
  ['mono-8k.wav', MONO, ['-ar', '8000'], 0, 8000],
  ['stereo-44k.wav', STEREO, ['-ar', '44100'], 0, 44_100],
  ['surround-48k-24bit.wav', SURROUND, ['-c:a', 'pcm_s24le'], 0, 48_000],
  ['mono-96k-float.wav', MONO, ['-ar', '96000', '-c:a', 'pcm_f32le'], 0, 96_000],
  ['stereo-44k.mp3', STEREO, ['-ar', '44100'], 1152, 44_100],
  ['stereo-48k.m4a', STEREO, [], 1024, 48_000],
  ['stereo-44k.ogg', STEREO, ['-ar', '44100', '-c:a', 'libvorbis'], 2048, 44_100],
  ['mono-22k.flac', MONO, ['-ar', '22050'], 0, 22_050],
  ['stereo-48k.webm', STEREO, ['-c:a', 'libopus'], 960, 48_000],
];
const VIDEOS: Sound[] = [
  ['with-video.mkv', STEREO, ['-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'libopus'], 960, 48_000],
  ['with-video.mov', SURROUND, ['-c:v', 'libx264', '-preset', 'ultrafast'], 1024, 48_000],
];

suite('sound in the containers that people send', { concurrency: 3 }, () => {
  before(async () => {
    const picture = lavfi(`testsrc=s=64x48:d=${SECONDS}`);
    const sounds = [...tone('mono'), ...tone('stereo'), ...tone('5.1'), ...picture];
    const outputs = SOUNDS.flatMap(([name, input, options]) => ['-map', input, ...options, file(name)]);
    const videos = VIDEOS.flatMap(([name, input, options]) => ['-map', '3', '-map', input, ...options, file(name)]);
    await ffmpeg(...sounds, ...outputs, ...videos);
  });

  for (const [name, , , packetSamples, rateHz] of [...SOUNDS, ...VIDEOS]) {
    test(`${name} gives as many samples as it has seconds, and as loud ones`, async () => {
      const samples = await decode(name);
      // The resampler may keep one sample more or fewer.
      const slack = Math.ceil((packetSamples / rateHz) * RATE_HZ) + (rateHz === RATE_HZ ? 0 : 1);
      const expected = SECONDS * RATE_HZ;
      assert.ok(
        Math.abs(samples.length - expected) <= slack,
        `${samples.length} samples, expected ${expected} ± ${slack}`,
      );
      const loudness = rms(samples.subarray(4000, 20_000)) / (AMPLITUDE / Math.SQRT2);
      assert.ok(loudness > 0.95 && loudness < 1.05, `${loudness} of the loudness`);
    });
  }
});

test('16-bit WAV at 16 kHz keeps every sample as it is', async () => {
  const values = Int16Array.from({ length: 40_000 }, (_, index) => ((index * 7919) % 65_536) - 32_768);
  values.set([32_767, -32_768, 0, 1, -1]);
  await writeWav(
    file('exact.wav'),
    Float32Array.from(values, (value) => Math.max(-1, value / 32_767)),
  );
  const written = await readWavValues('exact.wav');
  assert.deepEqual(
    await decode('exact.wav'),
    Float32Array.from(written, (value) => value / 32_768),
  );
});

/** The 16-bit values behind a 44-byte header. */
async function readWavValues(name: string): Promise<Int16Array> {
  const handle = await open(file(name));
  const bytes = await handle.readFile();
  await handle.close();
  return new Int16Array(bytes.buffer.slice(bytes.byteOffset + 44, bytes.byteOffset + bytes.byteLength));
}

test('one sample is enough', async () => {
  await writeWav(file('one.wav'), Float32Array.of(0.5));
  assert.equal((await decode('one.wav')).length, 1);
});

test('both channels are heard alike', async () => {
  const graph = (left: number, right: number) => `aevalsrc=${left}*sin(2764*t)|${right}*sin(2764*t):s=16000:d=0.5`;
  const outputs = ['-map', '0', file('left.wav'), '-map', '1', file('right.wav')];
  await ffmpeg(...lavfi(graph(0.5, 0)), ...lavfi(graph(0, 0.5)), ...outputs);
  const [left, right] = [await decode('left.wav'), await decode('right.wav')];
  assert.deepEqual(left, right);
  assert.ok(Math.abs(rms(left) - 0.25 / Math.SQRT2) < 0.002, `${rms(left)}`);
});

test('full volume in both channels stays within [-1, 1]', async () => {
  await ffmpeg(...lavfi('aevalsrc=sin(2764*t)|sin(2764*t):s=44100:d=0.5'), '-c:a', 'pcm_s16le', file('loud.wav'));
  const samples = await decode('loud.wav');
  // The resampler may overshoot a little.
  assert.ok(Math.abs(samples[loudest(samples)] ?? 0) <= 1.01);
});

test('of several sound tracks the default one is decoded, and the first one where none is', async () => {
  const tracks = ['-map', '0:a', '-map', '1:a', '-c:a', 'flac', '-disposition:a:0', '0'];
  const sounds = [...lavfi('aevalsrc=0:s=16000:d=1'), ...lavfi('sine=d=2:r=16000')];
  const second = [...tracks, '-disposition:a:1', 'default', file('second.mkv')];
  const none = [...tracks, '-disposition:a:1', '0', '-default_mode', 'passthrough', file('none.mkv')];
  await ffmpeg(...sounds, ...second, ...none);
  assert.equal((await decode('second.mkv')).length, 2 * RATE_HZ);
  const samples = await decode('none.mkv');
  assert.equal(samples.length, RATE_HZ);
  assert.equal(rms(samples), 0);
});

test('sound whose time stamps begin late begins at once', async () => {
  await ffmpeg(...lavfi('sine=d=1:r=16000'), '-c:a', 'flac', file('prompt.mkv'));
  await ffmpeg('-itsoffset', '0.7', '-i', file('prompt.mkv'), '-c', 'copy', file('late.mkv'));
  assert.deepEqual(await decode('late.mkv'), await decode('prompt.mkv'));
});

suite('files that are refused', { concurrency: 3 }, () => {
  before(async () => {
    await writeWav(file('secret.wav'), new Float32Array(16_000).fill(0.5));
    await writeWav(file('silent-header.wav'), new Float32Array(0));
    await writeFile(file('text.wav'), 'Dear farm, please render this letter.\n'.repeat(50));
    await writeFile(file('empty.wav'), '');
    const target = file('secret.wav');
    const list = ['#EXTM3U', '#EXT-X-TARGETDURATION:1', '#EXTINF:1.0,', target, '#EXT-X-ENDLIST', ''];
    await writeFile(file('playlist.wav'), list.join('\n'));
    await writeFile(file('concat.wav'), `ffconcat version 1.0\nfile '${target}'\n`);
    await writeFile(file('concat-relative.wav'), 'ffconcat version 1.0\nfile upload\n');
    await writeFile(file('page.wav'), `<?xml version="1.0"?><MPD><BaseURL>file://${target}</BaseURL></MPD>`);
    await writeFile(file('session.wav'), 'v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n');
    await ffmpeg(...lavfi('color=s=32x32'), '-frames:v', '1', file('picture.png'));
    await ffmpeg(...lavfi('testsrc=s=64x48:d=0.2'), file('mute.mp4'));
    await writeWav(file('unknown-codec.wav'), new Float32Array(16_000).fill(0.5));
    const unknown = await open(file('unknown-codec.wav'), 'r+');
    await unknown.write(Uint8Array.of(0x34, 0x12), 0, 2, 20);
    await unknown.close();
    await writeWav(file('one-hertz.wav'), new Float32Array(1800), 1);
    await writeWav(file('megahertz.wav'), new Float32Array(1800), 1_000_000);
    await writeWav(file('cut-header.wav'), new Float32Array(RATE_HZ).fill(0.5), RATE_HZ, 100);
    await writeWav(file('channels.wav'), new Float32Array(65 * 100));
    const crowd = await open(file('channels.wav'), 'r+');
    await crowd.write(Uint8Array.of(65), 0, 1, 22);
    await crowd.close();
    await writeFloatWav(file('integers.wav'), new Float32Array(16_000).fill(20_000));
  });

  const refused: [string, string, string, RegExp][] = [
    ['a text', 'text.wav', 'audio_unreadable', /cannot read this file/],
    ['an empty file', 'empty.wav', 'audio_unreadable', /cannot read this file/],
    ['a WAV file without samples', 'silent-header.wav', 'audio_empty', /no samples/],
    ['a picture', 'picture.png', 'audio_unreadable', /cannot read this file/],
    ['a video without sound', 'mute.mp4', 'audio_no_stream', /no sound track; it holds: video/],
    ['a playlist that points to a local file', 'playlist.wav', 'audio_unreadable', /cannot read this file/],
    ['a concat script', 'concat.wav', 'audio_unreadable', /cannot read this file/],
    ['a concat script that points to itself', 'concat-relative.wav', 'audio_unreadable', /cannot read this file/],
    ['a DASH manifest', 'page.wav', 'audio_unreadable', /cannot read this file/],
    [
      'a WAV file in a codec that there is not',
      'unknown-codec.wav',
      'audio_unreadable',
      /^The sound track \(unknown\) cannot/,
    ],
    ['float samples in the range of integers', 'integers.wav', 'audio_unreadable', /^100 % of the samples are .* ±1 /],
    ['a WAV file of 1 Hz', 'one-hertz.wav', 'audio_implausible', /a sample rate of 1 Hz; expected 4000 to 384000 Hz/],
    ['a WAV file of 1 MHz', 'megahertz.wav', 'audio_implausible', /a sample rate of 1000000 Hz/],
    ['a crowd of channels', 'channels.wav', 'audio_implausible', /65 channels; expected 64 at most/],
    [
      'a WAV file whose header tells of a part of its sound',
      'cut-header.wav',
      'audio_implausible',
      /100 bytes of sound in its header, and 31900 bytes follow/,
    ],
    ['an SDP session', 'session.wav', 'audio_unreadable', /cannot read this file/],
  ];
  for (const [what, name, code, message] of refused) {
    test(`${what} is refused, and where it was stored is not told`, async () => {
      await assert.rejects(decode(name), (error: Error & { code?: string }) => {
        assert.equal(error.code, code, error.message);
        assert.match(error.message, message);
        assert.ok(!error.message.includes(path.dirname(file(''))), error.message);
        return true;
      });
    });
  }
});

test('a file that is too long is refused, one as long as the limit is taken', async () => {
  await writeWav(file('long.wav'), new Float32Array(3 * RATE_HZ));
  await assert.rejects(decode('long.wav', 2.5), {
    code: 'audio_too_long',
    message: /^The audio lasts more than 0\.04\d* min, the most that is taken$/,
  });
  assert.equal((await decode('long.wav', 3)).length, 48_000);
});

test('no more than a second over the limit is decoded, however long the file is', async () => {
  await ffmpeg(...lavfi('sine=d=12:r=16000'), '-c:a', 'flac', '-live', '1', '-f', 'matroska', file('endless.mkv'));
  await assert.rejects(decode('endless.mkv', 2), { code: 'audio_too_long' });
  const { size } = await stat(file('store-endless.mkv/audio.f32'));
  assert.equal(size / 4, 2 * RATE_HZ);
  assert.equal((await decode('endless.mkv', 12)).length, 12 * RATE_HZ);
});

test('a sound that is longer than its bytes can hold is refused, and a long silence is taken', async () => {
  const silence = (rateHz: number, seconds: number) => lavfi(`anullsrc=r=${rateHz}:cl=mono:d=${seconds}`);
  await ffmpeg(...silence(4000, 400), '-c:a', 'wavpack', file('dense.wv'));
  await assert.rejects(decode('dense.wv', 3600), {
    code: 'audio_implausible',
    message: /more than \d+ s of sound in/,
  });
  await ffmpeg(...silence(8000, 200), '-c:a', 'wavpack', file('silence.wv'));
  assert.equal((await decode('silence.wv', 3600)).length, 200 * RATE_HZ);
});

test('a WAV file without a length, and one with tags behind its sound, are read to the end', async () => {
  const sound = new Float32Array(RATE_HZ).fill(0.5);
  for (const [name, said] of [
    ['zero.wav', 0],
    ['unknown.wav', 0xff_ff_ff_ff],
  ] as const) {
    await writeWav(file(name), sound, RATE_HZ, said);
    assert.equal((await decode(name)).length, RATE_HZ);
  }
  await writeWav(file('tagged.wav'), sound);
  await appendFile(file('tagged.wav'), Buffer.concat([Buffer.from('APETAGEX'), Buffer.alloc(8000, 1)]));
  assert.equal((await decode('tagged.wav')).length, RATE_HZ);
});

test('a length that is only estimated refuses nothing', async () => {
  const graph = "anoisesrc=r=44100:d=12:a=0.3,volume='if(lt(t,3),0,1)':eval=frame";
  await ffmpeg(...lavfi(graph), '-ac', '2', '-c:a', 'aac', '-b:a', '256k', '-f', 'adts', file('silent-start.aac'));
  const [track] = await probe(file('silent-start.aac'), []);
  assert.ok((track?.durationS ?? 0) > 60, `ffprobe guesses ${track?.durationS} s, which is no test`);
  assert.equal(Math.round((await decode('silent-start.aac', 15)).length / RATE_HZ), 12);
});

test('a long picture does not make its short sound too long', async () => {
  const codecs = ['-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'flac'];
  await ffmpeg(...lavfi('testsrc=s=64x48:d=4'), ...lavfi('sine=d=1:r=16000'), ...codecs, file('long-picture.mkv'));
  assert.equal((await decode('long-picture.mkv', 2)).length, RATE_HZ);
});

test('silence around a sound is that of a file which has it, to the byte, and counts as its length', async () => {
  const [leadMs, tailMs] = [370, 1230];
  const pad = `adelay=${leadMs}:all=1,apad=pad_dur=${tailMs}ms`;
  const float = ['-c:a', 'pcm_f32le'];
  await ffmpeg(...tone('stereo', 44_100), ...float, file('bare.wav'));
  await ffmpeg(...tone('stereo', 44_100), '-af', pad, ...float, file('padded.wav'));
  const read = async (name: string, silence?: { leadMs: number; tailMs: number }) => {
    const paths = { mouth: file(`${name}.f32`), ear: file(`${name}.s16`) };
    const { sampleCount } = await decodeAudio(file(name), paths, LIMIT_S, NEVER, silence);
    return { sampleCount, mouth: await readFile(paths.mouth), ear: await readFile(paths.ear) };
  };
  const padded = await read('padded.wav');
  assert.deepEqual(await read('bare.wav', { leadMs, tailMs }), padded);
  assert.equal(padded.sampleCount, Math.ceil((SECONDS + (leadMs + tailMs) / 1000) * RATE_HZ));
  const all = { mouth: file('long.f32') };
  await assert.rejects(decodeAudio(file('bare.wav'), all, 3, NEVER, { leadMs, tailMs }), { code: 'audio_too_long' });
  await writeWav(file('none.wav'), new Float32Array());
  await assert.rejects(decodeAudio(file('none.wav'), all, 3, NEVER, { leadMs, tailMs }), { code: 'audio_empty' });
});

test('a decode that was called off before it began rejects with the reason', async () => {
  await writeWav(file('short.wav'), new Float32Array(1600));
  const reason = new Error('the render was cancelled');
  await assert.rejects(
    decodeAudio(file('short.wav'), { mouth: file('short.f32') }, 1, AbortSignal.abort(reason)),
    reason,
  );
});
