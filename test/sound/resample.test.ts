import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { filterBankFor, Resampler } from '../../shared/sound/resample.ts';

const RATES_HZ = [8000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000];

function tone(frequencyHz: number, rateHz: number, seconds = 0.5): Float32Array {
  return Float32Array.from(
    { length: rateHz * seconds },
    (_, i) => 0.5 * Math.sin((2 * Math.PI * frequencyHz * i) / rateHz),
  );
}

function peak(samples: Float32Array): number {
  return samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
}

function resample(samples: Float32Array, rateHz: number): Float32Array {
  const resampler = new Resampler(rateHz);
  return Float32Array.from([...resampler.push(samples), ...resampler.end()]);
}

describe('resampling to 16 kHz', () => {
  for (const rateHz of RATES_HZ) {
    it(`keeps a tone of 1 kHz as it is, from ${rateHz} Hz`, () => {
      const got = resample(tone(1000, rateHz), rateHz);
      assert.equal(got.length, 8000);
      const expected = tone(1000, 16_000);
      const middle = got.slice(500, 7500).map((sample, index) => sample - (expected[index + 500] ?? 0));
      assert.ok(peak(middle) < 1e-3, `off by ${peak(middle)}`);
    });

    it(`gives the same however the sound is cut, from ${rateHz} Hz`, () => {
      const sound = tone(440, rateHz, 0.2);
      const whole = resample(sound, rateHz);
      const resampler = new Resampler(rateHz);
      const pieces: number[] = [];
      for (let at = 0, size = 1; at < sound.length; at += size, size = (size * 7) % 331) {
        pieces.push(...resampler.push(sound.subarray(at, at + size)));
      }
      pieces.push(...resampler.end());
      assert.deepEqual(Float32Array.from(pieces), whole);
    });
  }

  it('makes the filters of a rate once, and keeps those of the last few rates only', () => {
    const first = filterBankFor(44_100);
    assert.equal(filterBankFor(44_100), first);
    for (const rateHz of [8000, 11_025, 22_050, 48_000]) filterBankFor(rateHz);
    assert.notEqual(filterBankFor(44_100), first);
  });

  for (const rateHz of [22_050, 44_100, 48_000]) {
    const middleOf = (frequencyHz: number) => peak(resample(tone(frequencyHz, rateHz), rateHz).slice(500, 7500));
    it(`keeps what a voice has, up to 6.8 kHz, from ${rateHz} Hz`, () => {
      for (const frequencyHz of [100, 3000, 6000, 6800]) {
        assert.ok(Math.abs(middleOf(frequencyHz) - 0.5) < 0.005, `${frequencyHz} Hz: ${middleOf(frequencyHz)}`);
      }
    });

    it(`lets nothing through that 16 kHz cannot hold, from ${rateHz} Hz`, () => {
      for (const frequencyHz of [8500, 9000, 10_000, 11_000]) {
        assert.ok(middleOf(frequencyHz) < 1e-4, `${frequencyHz} Hz: ${middleOf(frequencyHz)}`);
      }
    });
  }

  it('makes nothing of nothing', () => {
    assert.equal(resample(new Float32Array(), 44_100).length, 0);
  });
});
