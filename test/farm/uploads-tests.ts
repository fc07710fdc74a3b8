import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { ffmpeg, lavfi, readSamples, rms } from '../media/media-files.ts';
import type { TestFarm } from '../support/farm.ts';
import { faceBrightnessOfPixels, SMALL_PICTURE } from '../support/small-avatar.ts';
import { syllables, writeFloatWav, writeWav } from '../support/sound.ts';

const EAR_RATE_HZ = 48_000;
/** Brightness of a face that hears something; in silence it is below 1. */
const HEARD = 3;

/** Tones from 300 Hz to 6.9 kHz, and how loud they are at amplitude 1. */
const TONES_HZ = [300, 700, 1100, 1900, 2700, 3700, 4700, 5800, 6900];
const VOICE_RMS = 1 / Math.sqrt(2 * TONES_HZ.length);
const AMPLITUDE = 0.6;
/** A voice for ffmpeg's aevalsrc. */
function voice(amplitude: number): string {
  const tones = TONES_HZ.map((hz) => `sin(2*PI*${hz}*t)`).join('+');
  return `${amplitude / TONES_HZ.length}*(${tones})`;
}

/** What comes out of an upload: sound and picture are looked at in the finished render, as a user does. */
export function describeUploads(farm: TestFarm): void {
  describe('uploads of all kinds', { concurrency: 4 }, () => {
    /** Of the same voice in mono. */
    let mono: ReturnType<typeof rendered>;
    const inFolder = (name: string) => path.join(farm.folder, name);

    before(async () => {
      await ffmpeg(...lavfi(`aevalsrc=${voice(AMPLITUDE)}:s=16000:d=0.6`), inFolder('mono.wav'));
      mono = rendered('mono.wav');
    });

    /**
     * What a user hears and sees of an upload: the sound of its video as float32 at 48 kHz, one array a side, and how
     * bright the face is in each of its frames.
     */
    async function rendered(name: string): Promise<{ sides: Float32Array[]; faces: number[] }> {
      const { id } = await farm.client.submit(inFolder(name), { modelId: 'small' });
      await farm.client.finished(id);
      const [video, sound, pictures] = [inFolder(`${name}.mp4`), inFolder(`${name}.f32`), inFolder(`${name}.rgb`)];
      await farm.client.saveVideo(id, video);
      await ffmpeg(
        ...['-i', video, '-map', '0:a', '-ac', '2', '-c:a', 'pcm_f32le', '-f', 'f32le', sound],
        ...['-map', '0:v', '-f', 'rawvideo', '-pix_fmt', 'rgb24', pictures],
      );
      const [samples, pixels] = [await readSamples(sound), await readFile(pictures)];
      const frameBytes = SMALL_PICTURE.width * SMALL_PICTURE.height * 3;
      const faces = Array.from({ length: pixels.length / frameBytes }, (_, at) =>
        faceBrightnessOfPixels(pixels.subarray(at * frameBytes, (at + 1) * frameBytes), at),
      );
      return {
        sides: [0, 1].map((side) => samples.filter((_, at) => at % 2 === side)),
        faces: await Promise.all(faces),
      };
    }

    const between = (samples: Float32Array | undefined, from: number, to: number) =>
      rms((samples ?? new Float32Array()).subarray(from * EAR_RATE_HZ, to * EAR_RATE_HZ));

    describe('whose sound changes midway play to their end', { concurrency: 4 }, () => {
      const MONO = ['1', '22050'];
      const STEREO = ['2', '44100'];
      const kinds: [string, string, string[], string[], string[]][] = [
        ['an MP3 whose rate and channels change', 'joined.mp3', [], MONO, STEREO],
        ['an ADTS AAC whose channels change', 'joined.aac', ['-f', 'adts'], ['1', '44100'], STEREO],
        ['a chained Ogg', 'joined.ogg', ['-c:a', 'libvorbis'], STEREO, ['1', '48000']],
        ['AC-3 in TS that turns to 5.1', 'joined.ts', ['-c:a', 'ac3', '-f', 'mpegts'], ['2', '48000'], ['6', '48000']],
      ];
      for (const [what, name, options, ...halves] of kinds) {
        it(what, async () => {
          const parts = await Promise.all(
            halves.map(async ([channels = '', rate = ''], at) => {
              const part = inFolder(`${at}-${name}`);
              const voices = Array(Number(channels)).fill(voice(AMPLITUDE)).join('|');
              await ffmpeg(...lavfi(`aevalsrc=${voices}:s=${rate}:d=0.8`), ...options, part);
              return await readFile(part);
            }),
          );
          await writeFile(inFolder(name), Buffer.concat(parts));
          const { sides, faces } = await rendered(name);
          for (const side of sides) {
            assert.ok(Math.abs(side.length / EAR_RATE_HZ - 1.6) < 0.2, `${side.length / EAR_RATE_HZ} s`);
            for (const [from, to] of [
              [0.1, 0.7],
              [0.95, 1.5],
            ] as const) {
              const loudness = between(side, from, to) / (AMPLITUDE * VOICE_RMS);
              // 5.1 with a voice in all channels is louder than the voice in two.
              assert.ok(loudness > 0.5 && loudness < 2, `${loudness} of the loudness from ${from} s on`);
            }
          }
          for (const at of [10, 30]) assert.ok((faces[at] ?? 0) > HEARD, `frame ${at}: ${faces[at]}`);
        });
      }
    });

    it('that hold damaged samples are silent there, and nothing else is lost', async () => {
      const sound = syllables(0.6);
      await writeWav(inFolder('whole.wav'), sound);
      const damaged = sound.slice();
      damaged.set([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e38, -20_000], 2000);
      await writeFloatWav(inFolder('damaged.wav'), damaged);
      const [{ faces: whole }, { sides, faces }] = await Promise.all([rendered('whole.wav'), rendered('damaged.wav')]);
      assert.ok((sides[0] ?? []).every((sample) => Math.abs(sample) < 1.1));
      assert.equal(faces.length, whole.length);
      faces.forEach((face, at) => {
        assert.ok(Math.abs(face - (whole[at] ?? 0)) < 10, `frame ${at}: ${face}, undamaged ${whole[at]}`);
      });
      assert.ok(
        farm.log.some((line) => line.includes('damaged samples were made silent') && line.includes('"samples":5')),
      );
    });

    it('keep what lies at 16 kHz, on its side, and where it was to the sample', async () => {
      const bursts = 'sin(2*PI*1000*t)*exp(-pow((t-0.5)*40\\,2))';
      const graph = `aevalsrc=0.5*${bursts}|0.3*sin(2*PI*16000*t):s=44100:d=1`;
      await ffmpeg(...lavfi(graph), '-c:a', 'pcm_s24le', inFolder('wide.wav'));
      const [left, right] = (await rendered('wide.wav')).sides;
      assert.ok(between(right, 0.2, 0.8) > 0.9 * (0.3 / Math.SQRT2), `${between(right, 0.2, 0.8)} at 16 kHz`);
      const original = Float32Array.from({ length: EAR_RATE_HZ }, (_, at) => {
        const t = at / EAR_RATE_HZ;
        return 0.5 * Math.sin(2 * Math.PI * 1000 * t) * Math.exp(-(((t - 0.5) * 40) ** 2));
      });
      const likeness = (lag: number) => original.reduce((sum, sample, at) => sum + sample * (left?.[at + lag] ?? 0), 0);
      const lags = Array.from({ length: 41 }, (_, at) => at - 20);
      const best = lags.reduce((a, b) => (likeness(b) > likeness(a) ? b : a));
      assert.ok(Math.abs(best) <= 1, `${best} samples late`);
    });

    const stereo = (left: string, right: string) => lavfi(`aevalsrc=${left}|${right}:s=16000:d=0.6`);
    const voices: [string, string, () => string[]][] = [
      ['upside down on one side', 'upside-down.wav', () => stereo(voice(AMPLITUDE), voice(-AMPLITUDE))],
      ['in the centre of 5.1', 'centre.wav', () => lavfi(`aevalsrc=0|0|${voice(AMPLITUDE)}|0|0|0:s=48000:d=0.6:c=5.1`)],
      [
        'in ten channels that nobody says the places of',
        'ten.wav',
        () => [...lavfi(`aevalsrc=${Array(10).fill(voice(AMPLITUDE)).join('|')}:s=16000:d=0.6`), '-c:a', 'pcm_s16le'],
      ],
      [
        'in the default track, which is the second one',
        'second.mkv',
        () => [
          ...lavfi('anullsrc=r=16000:cl=mono:d=2'),
          ...stereo(voice(AMPLITUDE), voice(AMPLITUDE)),
          ...['-map', '0', '-map', '1', '-c:a', 'flac', '-disposition:a:0', '0', '-disposition:a:1', 'default'],
        ],
      ],
    ];
    for (const [where, name, command] of voices) {
      it(`with a voice ${where} are heard by mouth and ear as loud as in mono`, async () => {
        await ffmpeg(...command(), inFolder(name));
        const [{ sides, faces }, inMono] = await Promise.all([rendered(name), mono]);
        for (const side of sides) {
          const loudness = between(side, 0.1, 0.5) / (AMPLITUDE * VOICE_RMS);
          assert.ok(loudness > 0.8 && loudness < 1.2, `${loudness} of the loudness`);
        }
        assert.equal(faces.length, 15);
        for (const at of [5, 10]) {
          const [face = 0, expected = 0] = [faces[at], inMono.faces[at]];
          assert.ok(
            Math.abs(face - expected) < 0.2 * expected && expected > HEARD,
            `frame ${at}: ${face} and ${expected}`,
          );
        }
      });
    }

    it('that are too long or damaged are refused before anything is rendered, in words that help', async () => {
      await writeWav(inFolder('long.wav'), new Float32Array(31 * 16_000));
      await writeFloatWav(inFolder('integers.wav'), new Float32Array(1600).fill(20_000));
      for (const [name, code, message] of [
        ['long.wav', 'audio_too_long', /^The audio lasts more than 0\.5 min, the most that is taken$/],
        ['integers.wav', 'audio_unreadable', /full scale, which is ±1/],
      ] as const) {
        const { id } = await farm.client.submit(inFolder(name), { modelId: 'small' });
        await assert.rejects(farm.client.finished(id), { code, message });
        assert.equal((await farm.client.get(id)).frames.total, null);
      }
    });
  });
}
