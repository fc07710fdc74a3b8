import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { firstSampleNeeded, samplesUntilReady } from '../../api/live/audio-context.ts';
import { LiveSound } from '../../api/live/live-sound.ts';
import { frameCount } from '../../shared/sound/frame-rate.ts';
import { FEATURE_ROWS_AFTER } from '../../shared/sound/rates.ts';
import { SilenceGate } from '../../shared/sound/silence-gate.ts';
import { decodeAudio } from '../../worker/media/decode-audio.ts';
import { privateFolder, readSamples } from '../media/media-files.ts';
import { syllables, writeWav } from '../support/sound.ts';

const file = privateFolder();

const SECOND = 16_000;
const EXACT = { rowsAhead: FEATURE_ROWS_AFTER };
/** Sample i has the value i, so that a piece shows where it was cut. */
const numbered = (sampleCount: number) => Float32Array.from({ length: sampleCount }, (_, index) => index);

describe('the sound of a live stream', () => {
  it('gives a range of frames what they depend on and no more, however much has come', () => {
    const sound = new LiveSound(SECOND, EXACT);
    sound.push(numbered(100 * SECOND));
    for (const start of [0, 16, 1600]) {
      const { samples, firstSample, totalSamples } = sound.pieceFor(start, start + 16);
      assert.equal(firstSample, firstSampleNeeded(start, EXACT));
      assert.equal(totalSamples, samplesUntilReady(start + 15, EXACT));
      assert.deepEqual([samples[0], samples.at(-1)], [firstSample, totalSamples - 1]);
    }
  });

  it('gives the last frames everything up to the end', () => {
    const sound = new LiveSound(SECOND, EXACT);
    sound.push(numbered(3 * SECOND));
    sound.end();
    const frames = frameCount(3 * SECOND);
    const { samples, totalSamples } = sound.pieceFor(frames - 5, frames);
    assert.deepEqual([samples.at(-1), totalSamples], [3 * SECOND - 1, 3 * SECOND]);
  });

  it('lets go of what only earlier frames needed', () => {
    const sound = new LiveSound(SECOND, EXACT);
    sound.push(numbered(10 * SECOND));
    sound.forgetBefore(200);
    assert.equal(sound.heldSamples, 10 * SECOND - firstSampleNeeded(200, EXACT));
    assert.equal(sound.pieceFor(200, 201).samples[0], firstSampleNeeded(200, EXACT));
  });

  it('goes on with an idle clip from piece to piece, over frames that were left out, and after an interruption', () => {
    const gate = new SilenceGate({ openDbfs: -45, closeDbfs: -50, holdMs: 160, leadMs: 160 });
    const sound = new LiveSound(SECOND, EXACT, { gate, idleAfterFrames: 5 });
    sound.push(new Float32Array(4 * SECOND));
    assert.deepEqual(sound.pieceFor(0, 12).idle, { amounts: '000001234444', place: 0 });
    sound.forgetBefore(12);
    assert.deepEqual(sound.pieceFor(20, 24).idle, { amounts: '4444', place: 15 });
    sound.forgetBefore(24);
    assert.deepEqual(sound.pieceFor(24, 26).idle, { amounts: '44', place: 19 });
    sound.cutAt(30);
    sound.push(syllables(2));
    assert.deepEqual(sound.pieceFor(24, 31).idle, { amounts: '4432100', place: 19 });
    assert.equal(sound.pieceFor(34, 40).idle, undefined);
  });

  for (const rateHz of [8000, 22_050, 44_100, 48_000]) {
    it(`is at ${rateHz} Hz to the bit what an upload of it becomes`, async () => {
      const samples = syllables(1.3, rateHz).map((sample) => Math.round(sample * 32_767) / 32_768);
      const [wav, mouth] = [file(`${rateHz}.wav`), file(`${rateHz}.f32`)];
      await writeWav(wav, syllables(1.3, rateHz), rateHz);
      await decodeAudio(wav, { mouth }, 60, new AbortController().signal);
      const sound = new LiveSound(rateHz, EXACT);
      for (let at = 0; at < samples.length; at += 777) sound.push(samples.subarray(at, at + 777));
      sound.end();
      assert.deepEqual(sound.pieceFor(0, sound.readyFrames).samples, await readSamples(mouth));
    });
  }
});
