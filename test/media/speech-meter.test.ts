import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpeechMeter } from '../../worker/media/speech-meter.ts';

const RATE_HZ = 16_000;

/** A glottal tone with overtones, 130 Hz. */
const voice = (seconds: number, loudness = 0.3) =>
  Float32Array.from({ length: seconds * RATE_HZ }, (_, at) => {
    const phase = (2 * Math.PI * 130 * at) / RATE_HZ;
    return loudness * (Math.sin(phase) + 0.5 * Math.sin(2 * phase) + 0.3 * Math.sin(5 * phase));
  });
/** Noise that is the same each time. */
function noise(seconds: number, loudness = 0.3): Float32Array {
  let state = 1;
  return Float32Array.from({ length: seconds * RATE_HZ }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return loudness * (state / 1_073_741_823.5 - 1);
  });
}
const silence = (seconds: number) => new Float32Array(seconds * RATE_HZ);
const hum = (seconds: number) =>
  Float32Array.from({ length: seconds * RATE_HZ }, (_, at) => 0.3 * Math.sin((2 * Math.PI * 50 * at) / RATE_HZ));

function meter(...parts: Float32Array[]): SpeechMeter {
  const heard = new SpeechMeter();
  // Pieces that fill no frame, as the resampler gives them.
  for (const part of parts) for (let at = 0; at < part.length; at += 999) heard.push(part.subarray(at, at + 999));
  return heard;
}
const ALL = { start: 0, end: 10_000 * RATE_HZ };
const about = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) <= 0.081, `${actual} s, expected ${expected}`);

test('silence, noise and the hum of the mains are no speech', () => {
  for (const sound of [silence(2), noise(2), hum(2), voice(2, 0.0005)]) assert.equal(meter(sound).secondsIn(ALL), 0);
  assert.equal(new SpeechMeter().secondsIn(ALL), 0);
});

test('pauses do not count, and what is between the sounds of a word does', () => {
  about(meter(voice(2), silence(3), voice(1)).secondsIn(ALL), 3);
  about(meter(voice(1), noise(0.2, 0.1), voice(1)).secondsIn(ALL), 2.2);
  about(meter(voice(1), noise(0.6, 0.1), voice(1)).secondsIn(ALL), 2);
});

test('what is far quieter than the speaker does not count', () => {
  about(meter(voice(2), silence(1), voice(2, 0.003)).secondsIn(ALL), 2);
});

test('a range has its part, and the parts add up', () => {
  const heard = meter(voice(1), silence(1), voice(1));
  about(heard.secondsIn({ start: RATE_HZ, end: 2 * RATE_HZ }), 0);
  // Of frames of both rates.
  for (const samples of [640, 800]) {
    const parts = [0, 10, 40, 57, 75].map((start, index, all) =>
      heard.secondsIn({ start: start * samples, end: (all[index + 1] ?? start) * samples }),
    );
    assert.equal(Math.round(100 * parts.reduce((sum, part) => sum + part)), Math.round(100 * heard.secondsIn(ALL)));
  }
});
