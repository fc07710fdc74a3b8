import assert from 'node:assert/strict';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { before, suite, test } from 'node:test';
import { decodeAudio } from '../../worker/media/decode-audio.ts';
import { findPlainWav } from '../../worker/media/plain-wav.ts';
import { writeWav } from '../support/sound.ts';
import { ffmpeg, lavfi, privateFolder } from './media-files.ts';

const file = privateFolder();
const NEVER = new AbortController().signal;

/** Both sounds that a render keeps of a file, and what it says of them. */
async function decode(name: string) {
  const paths = { mouth: file(`${name}.f32`), ear: file(`${name}.s16`) };
  const { sampleCount, ear } = await decodeAudio(file(name), paths, 60, NEVER);
  return { sampleCount, ear, mouth: await readFile(paths.mouth), heard: await readFile(paths.ear) };
}

/** Name, channels, rate, codec. */
const PLAIN = [
  ['mono-16k', 1, 16_000, 'pcm_s16le'],
  ['stereo-44k', 2, 44_100, 'pcm_s16le'],
  ['mono-24k-float', 1, 24_000, 'pcm_f32le'],
  ['stereo-48k-float', 2, 48_000, 'pcm_f32le'],
] as const;

suite('WAV files that are read without ffmpeg', () => {
  before(async () => {
    const noise = lavfi('anoisesrc=r=48000:d=0.7:a=0.9:seed=5,aformat=channel_layouts=mono');
    const outputs = PLAIN.flatMap(([name, channels, rate, codec]) => {
      const form = ['-ac', String(channels), '-ar', String(rate), '-c:a', codec];
      return [...form, file(`${name}.wav`), ...form, '-f', 'matroska', file(`${name}.mkv`)];
    });
    const left = [...['-c:a', 'pcm_s24le', file('24-bit.wav')], ...['-ar', '96000', file('96k.wav')]];
    await ffmpeg(...noise, ...outputs, ...left, '-ac', '6', file('surround.wav'));
    await writeWav(file('sound.wav'), new Float32Array(1600).fill(0.5));
  });

  for (const [name] of PLAIN) {
    test(`${name} gives, to the byte, what ffmpeg makes of the same samples`, async () => {
      assert.ok(await findPlainWav(file(`${name}.wav`)));
      assert.equal(await findPlainWav(file(`${name}.mkv`)), undefined);
      assert.deepEqual(await decode(`${name}.wav`), await decode(`${name}.mkv`));
    });
  }

  for (const name of ['24-bit', '96k', 'surround'])
    test(`${name} is left to ffmpeg`, async () => assert.equal(await findPlainWav(file(`${name}.wav`)), undefined));

  test('what ffmpeg might read otherwise is left to it', async () => {
    const whole = await readFile(file('sound.wav'));
    const dts = Buffer.from(whole);
    dts.write('7ffe8001', 1044, 'hex');
    const unaligned = Buffer.from(whole);
    unaligned.writeUInt32LE(3199, 40);
    const cases: Record<string, Buffer> = {
      'a length beyond the file': whole.subarray(0, -2),
      'no length': Buffer.concat([whole.subarray(0, 40), Buffer.alloc(4, 0xff), whole.subarray(44)]),
      'half a sample': unaligned,
      'sound of another codec': dts,
      'sound in two places': Buffer.concat([whole, whole.subarray(36)]),
    };
    for (const [what, bytes] of Object.entries(cases)) {
      await writeFile(file('odd.wav'), bytes);
      assert.equal(await findPlainWav(file('odd.wav')), undefined, what);
    }
    await appendFile(file('sound.wav'), Buffer.from('LIST\x04\0\0\0INFO', 'latin1'));
    assert.ok(await findPlainWav(file('sound.wav')), 'a list behind the sound is usual');
  });
});
