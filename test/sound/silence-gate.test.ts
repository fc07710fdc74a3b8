import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { samplesUntilReady } from '../../api/live/audio-context.ts';
import { FRAME_RATES, samplesPerFrame } from '../../shared/sound/frame-rate.ts';
import { SilenceGate } from '../../shared/sound/silence-gate.ts';

const SAMPLES_PER_FRAME = samplesPerFrame();
const SETTINGS = { openDbfs: -40, closeDbfs: -50, holdMs: 80, leadMs: 160 };

/** A tone of these levels in dB of full scale, one a frame. */
function tone(levels: readonly number[]): Float32Array {
  const samples = new Float32Array(levels.length * SAMPLES_PER_FRAME);
  return samples.map((_, at) => {
    const level = levels[Math.floor(at / SAMPLES_PER_FRAME)] as number;
    // 250 Hz: whole periods in a frame. A sine at full scale has −3 dB.
    return Math.SQRT2 * 10 ** (level / 20) * Math.sin((2 * Math.PI * at) / 64);
  });
}

function voicesOf(levels: readonly number[], settings = SETTINGS): string {
  const gate = new SilenceGate(settings);
  gate.push(tone(levels));
  gate.end();
  return gate.voices(0, levels.length);
}

const QUIET = Array<number>(12).fill(-90);

describe('the silence gate', () => {
  it('opens at its level, fading in before it, and closes after the hold', () => {
    assert.equal(voicesOf([...QUIET, -20, ...QUIET]), '00000000' + '1234' + '4' + '44321' + '0000000');
  });
  it('has hysteresis: what lies between the levels goes on as before', () => {
    assert.equal(voicesOf([-45, -45, -45]), '000');
    assert.equal(voicesOf([-39, -45, -49, -51, ...QUIET]), '4444432100000000');
    assert.equal(voicesOf([-41, ...QUIET]), '0'.repeat(13));
  });
  it('keeps the mouth in pauses that are too short to close it', () => {
    const pause = Array<number>(5).fill(-90);
    assert.equal(voicesOf([-20, ...pause, -20]), '4443344');
  });
  it('does not take a constant for a voice', () => {
    const gate = new SilenceGate(SETTINGS);
    gate.push(new Float32Array(10 * SAMPLES_PER_FRAME).fill(0.3));
    gate.end();
    assert.equal(gate.voices(0, 10), '0'.repeat(10));
  });

  /** Frames of −20 dB among others: voices and pauses of many lengths. */
  const levels = Array.from({ length: 300 }, (_, frame) =>
    Math.sin(frame * 0.21) + Math.sin(frame * 0.047) > 0.7 ? -20 : -80,
  );
  const whole = voicesOf(levels);

  it('says the same of a sound in pieces, as soon as a frame of the lead has come', () => {
    const gate = new SilenceGate(SETTINGS);
    const samples = tone(levels);
    let said = '';
    for (let at = 0; at < samples.length; at += 777) {
      gate.push(samples.subarray(at, at + 777));
      said += gate.voices(said.length, gate.decidedFrames);
      gate.forgetBefore(said.length);
    }
    gate.end();
    assert.equal(said + gate.voices(said.length, gate.decidedFrames), whole);
    assert.match(whole, /0/);
    assert.match(whole, /4/);
  });
  it('goes on from any frame at which the sound is cut', () => {
    const samples = tone(levels);
    for (const frame of [0, 40, 123]) {
      const gate = new SilenceGate(SETTINGS);
      gate.push(samples.subarray(0, (frame + 9) * SAMPLES_PER_FRAME + 100));
      gate.forgetBefore(frame);
      gate.cutAt(frame);
      gate.push(samples.subarray(frame * SAMPLES_PER_FRAME));
      gate.end();
      assert.equal(gate.voices(frame, 300), whole.slice(frame), `cut at ${frame}`);
    }
  });
  it('is decided with 200 ms of lead before the features of any frame are, however few rows it hears', () => {
    for (const context of [2, 7].flatMap((rowsAhead) => FRAME_RATES.map((frameRate) => ({ rowsAhead, frameRate })))) {
      const samples = samplesPerFrame(context.frameRate);
      // With the fewest rows and frames it is 150 ms.
      const lead = Math.min(0.2 * context.frameRate, context.frameRate === 20 && context.rowsAhead === 2 ? 3 : 5);
      for (let frame = 0; frame < 100; frame++) {
        const complete = Math.floor(samplesUntilReady(frame, context) / samples);
        assert.ok(complete >= frame + 1 + lead, `frame ${frame}, ${JSON.stringify(context)}: ${complete}`);
      }
    }
  });
});
