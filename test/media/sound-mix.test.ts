import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MonoMix } from '../../worker/media/mono-mix.ts';
import { formOf } from '../../worker/media/sound-track.ts';
import { StereoMix } from '../../worker/media/stereo-mix.ts';
import { rms } from './media-files.ts';

const RATE_HZ = 8000;
const WAV = { index: 0, codecType: 'audio', codec: 'pcm_s16le', durationS: 1, layout: undefined, isDefault: false };
const track = (changes: object) => ({ ...WAV, sampleRateHz: RATE_HZ, channels: 2, ...changes });

/** 500 Hz: whole waves fit into a second. */
const tone = (amplitude: number, seconds = 1) =>
  Float32Array.from({ length: seconds * RATE_HZ }, (_, at) => amplitude * Math.sin((Math.PI / 8) * at));

/** Interleaves channels of one length. */
function interleaved(...channels: Float32Array[]): Float32Array {
  const samples = new Float32Array(channels.length * (channels[0]?.length ?? 0));
  channels.forEach((channel, at) => {
    channel.forEach((sample, frame) => {
      samples[frame * channels.length + at] = sample;
    });
  });
  return samples;
}

describe('the form in which a track is decoded', () => {
  const forms: [string, object, number, string, number][] = [
    ['a mono WAV as it is', { channels: 1 }, 8000, 'mono', 1],
    ['a stereo FLAC as it is', { codec: 'flac', sampleRateHz: 44_100, layout: 'stereo' }, 44_100, 'stereo', 2],
    ['a rate above 48 kHz at 48 kHz', { sampleRateHz: 192_000 }, 48_000, 'stereo', 2],
    ['a rate below 8 kHz at 8 kHz', { sampleRateHz: 4000 }, 8000, 'stereo', 2],
    [
      'an MP3 that begins with a low rate and in mono, so that all may follow',
      { codec: 'mp3', channels: 1 },
      48_000,
      '3.0',
      3,
    ],
    ['an AAC at 44.1 kHz at its rate', { codec: 'aac', sampleRateHz: 44_100, layout: 'stereo' }, 44_100, '3.0', 3],
    ['5.1 with its centre apart', { channels: 6, layout: '5.1' }, 8000, '3.0', 3],
    ['channels that nobody says the places of, each apart', { channels: 10 }, 8000, 'unknown', 10],
    ['more channels than have agreed places, each apart', { channels: 12, layout: '7.1.4' }, 8000, 'unknown', 12],
  ];
  for (const [what, changes, sampleRateHz, channels, gains] of forms) {
    it(what, () => {
      const form = formOf(track(changes));
      assert.deepEqual([form.sampleRateHz, form.channels, form.gains.length], [sampleRateHz, channels, gains]);
    });
  }
});

describe('channels become left and right', () => {
  it('stereo stays as it is, to the bit', () => {
    const mix = new StereoMix(formOf(track({})));
    const { left, right } = mix.mix(interleaved(tone(0.7), tone(0.3)));
    assert.deepEqual([left, right], [tone(0.7), tone(0.3)]);
    assert.deepEqual([mix.levelling, mix.isMono, mix.replacedSamples], [1, false, 0]);
  });

  it('what is no number or absurdly loud is silent, and counted; a little over full scale is sound', () => {
    const mix = new StereoMix(formOf(track({ channels: 1 })));
    const { left } = mix.mix(Float32Array.of(0.5, Number.NaN, 1.5, Number.POSITIVE_INFINITY, -1e30, -17, -2));
    assert.deepEqual([...left], [0.5, 0, 1.5, 0, 0, 0, -2]);
    assert.equal(mix.replacedSamples, 4);
  });

  it('a voice in the centre keeps its level on both sides', () => {
    const mix = new StereoMix(formOf(track({ channels: 6, layout: '5.1' })));
    const { left, right } = mix.mix(interleaved(tone(0), tone(0), tone(0.5)));
    assert.deepEqual([left, right], [tone(0.5), tone(0.5)]);
    assert.deepEqual([mix.levelling, mix.isMono], [1, true]);
  });

  it('many channels together are as loud as the loudest of them', () => {
    const mix = new StereoMix(formOf(track({ channels: 10 })));
    const { left } = mix.mix(interleaved(...Array.from({ length: 10 }, () => tone(0.4))));
    assert.ok(Math.abs(rms(left) * mix.levelling - rms(tone(0.4))) < 1e-6);
  });

  it('channels that nobody says the places of are all heard', () => {
    for (let alone = 0; alone < 5; alone++) {
      const mix = new StereoMix(formOf(track({ channels: 5 })));
      const channels = Array.from({ length: 5 }, (_, channel) => tone(channel === alone ? 0.4 : 0));
      const { left, right } = mix.mix(interleaved(...channels));
      assert.ok(Math.max(rms(left), rms(right)) > 0.7 * rms(tone(0.4)), `channel ${alone}`);
    }
  });
});

describe('left and right become what the mouth hears', () => {
  const upsideDown = (samples: Float32Array) => samples.map((sample) => -sample);
  /** Given second by second, as decoding does. */
  const mouthHears = (...seconds: [Float32Array, Float32Array][]) => {
    const mix = new MonoMix(RATE_HZ);
    return seconds.map(([left, right]) => mix.mix({ left, right }));
  };

  it('their mean, to the bit', () => {
    const [left, right] = [tone(0.7), tone(0.3)];
    const [heard] = mouthHears([left, right]);
    assert.deepEqual(
      heard,
      left.map((sample, at) => (sample + (right[at] ?? 0)) / 2),
    );
  });

  it('a voice that is upside down on one side, as loud as it is', () => {
    const [first, second] = mouthHears([tone(0.5), upsideDown(tone(0.5))], [tone(0.5), upsideDown(tone(0.5))]);
    assert.ok(rms(first?.subarray(RATE_HZ / 25) ?? tone(0)) > 0.999 * rms(tone(0.5)));
    assert.deepEqual(second, tone(0.5));
  });

  it('a voice that turns upside down midway and back, after a moment, without a click', () => {
    const [voice, turned] = [tone(0.5), upsideDown(tone(0.5))];
    const heard = mouthHears([voice, voice], [voice, turned], [voice, voice]);
    for (const second of heard) assert.ok(rms(second.subarray(RATE_HZ / 4)) > 0.999 * rms(voice));
    const all = Float32Array.from(heard.flatMap((second) => [...second]));
    const steepest = Math.max(...all.map((sample, at) => Math.abs(sample - (all[at - 1] ?? 0))));
    assert.ok(steepest < 0.5 * 0.4 * 1.1, `a step of ${steepest}`);
  });

  it('one side alone, and both sides with nothing in common, as their mean', () => {
    const other = Float32Array.from({ length: RATE_HZ }, (_, at) => 0.5 * Math.sin(0.7 * at));
    for (const right of [tone(0), other]) {
      const [heard] = mouthHears([tone(0.5), right]);
      assert.deepEqual(
        heard,
        tone(0.5).map((sample, at) => (sample + (right[at] ?? 0)) / 2),
      );
    }
  });
});
