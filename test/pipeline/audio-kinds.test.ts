import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AUDIO_KIND_FACTS, AUDIO_KINDS } from '../../shared/sound/audio-kinds.ts';
import { audioFloats, type Hearing, hearingOfShape } from '../../shared/sound/hearing.ts';
import { STATE_FLOATS, stateCount } from '../../shared/sound/hubert-chunks.ts';
import {
  algorithmicLatencyMs,
  firstSampleOfRow,
  firstSampleOfRowToEnd,
  samplesUntilRow,
} from '../../shared/sound/row-reach.ts';
import { wenetRowCount } from '../../shared/sound/wenet-rows.ts';
import { writeAudioInput } from '../../worker/pipeline/audio-input.ts';
import type { AudioSource, IndexRange } from '../../worker/pipeline/contract.ts';
import { readFbank } from '../../worker/pipeline/fbank.ts';
import { soundOfFrames } from '../../worker/pipeline/heard-sound.ts';
import { SlidingFeatures } from '../../worker/pipeline/sliding-features.ts';
import { noTimings, StageClock } from '../../worker/pipeline/stage-timings.ts';
import { fixtureFloats, largestDifference } from './files.ts';

const HEARINGS: readonly (readonly [string, Hearing])[] = [
  ['ave', hearingOfShape([32, 16, 16], {}, 'a.onnx')],
  ['hubert in long chunks, 8 rows', hearingOfShape([16, 32, 32], {}, 'a.onnx')],
  ['hubert in short chunks, 8 rows', hearingOfShape([16, 32, 32], { hubertChunks: 'short' }, 'a.onnx')],
  ['hubert in short chunks, 16 rows', hearingOfShape([32, 32, 32], { hubertChunks: 'short' }, 'a.onnx')],
  ['wenet, 8 rows', hearingOfShape([128, 16, 32], {}, 'a.onnx')],
  ['wenet, 16 rows', hearingOfShape([256, 16, 32], {}, 'a.onnx')],
];

const ENCODER_BATCH = 8;

/** A sound that notes which samples are read, or of which a part alone is held. */
class NotingSound implements AudioSource {
  readonly sampleCount: number;
  read = async ({ start, end }: IndexRange): Promise<Float32Array> => {
    this.from = Math.min(this.from, start);
    this.to = Math.max(this.to, end);
    return this.#samples.slice(start, end);
  };
  from = Number.POSITIVE_INFINITY;
  to = 0;
  readonly #samples: Float32Array;

  constructor(samples: Float32Array) {
    this.#samples = samples;
    this.sampleCount = samples.length;
  }
}

function noise(length: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32 - 0.5;
  });
}

/** Features that hold where they come from: of each part its mean, of HuBERT all of a part and the state's place. */
function encoderFor(kind: Hearing['kind']) {
  return {
    async encode(parts: Float32Array, count: number): Promise<Float32Array> {
      const partFloats = parts.length / count;
      const mean = (part: number) =>
        parts.subarray(part * partFloats, (part + 1) * partFloats).reduce((sum, value) => sum + value, 0) / partFloats;
      if (kind !== 'hubert') {
        const { rowFloats } = AUDIO_KIND_FACTS[kind];
        return Float32Array.from({ length: count * rowFloats }, (_, at) =>
          at % rowFloats === 0 ? mean(at / rowFloats) : 0,
        );
      }
      const states = new Float32Array(stateCount(partFloats) * STATE_FLOATS);
      const level = 1e3 * mean(0);
      for (let at = 0; at < states.length; at += STATE_FLOATS) states[at] = 1 + at / STATE_FLOATS + level;
      return states;
    },
  };
}

function featuresOf(hearing: Hearing, audio: AudioSource, run: number | IndexRange): SlidingFeatures {
  const clock = new StageClock(noTimings());
  const parts = { audio, encoder: encoderFor(hearing.kind), hearing };
  return new SlidingFeatures(parts, 7, run, { signal: new AbortController().signal, clock });
}

async function inputOf(hearing: Hearing, features: SlidingFeatures, row: number): Promise<Float32Array> {
  const input = new Float32Array(audioFloats(hearing));
  writeAudioInput(await features.rowsFor({ start: row, end: row + 1 }), row, input, 0, 7, hearing);
  return input;
}

describe('the kinds of speech features', () => {
  it('fill the shapes of their networks', () => {
    for (const kind of AUDIO_KINDS) {
      const { rowFloats, contexts } = AUDIO_KIND_FACTS[kind];
      for (const context of contexts) {
        assert.equal((context.rowsBefore + 1 + context.rowsAfter) * rowFloats, audioFloats(context));
      }
    }
  });

  it('are told by the shape, or by the entry where that leaves it open', () => {
    assert.throws(() => hearingOfShape([32, 'h', 'w'], {}, 'a.onnx'), {
      code: 'model_unusable',
      message: /ave \[32, 16, 16\] and hubert \[32, 32, 32\] fit.*audio_features/,
    });
    assert.equal(hearingOfShape([32, 'h', 'w'], { kind: 'hubert' }, 'a.onnx').kind, 'hubert');
    assert.throws(() => hearingOfShape([32, 16, 16], { kind: 'wenet' }, 'a.onnx'), {
      message: /a\.onnx takes audio \[batch, 32, 16, 16\]: that is ave, and audio_features says wenet/,
    });
    assert.throws(() => hearingOfShape([7, 16, 16], {}, 'a.onnx'), { message: /no kind of features.*wenet/ });
  });

  for (const [name, hearing] of HEARINGS) {
    it(`${name}: live frames wait for the sound that the pipeline reads`, async () => {
      const wholeSound = hearing.kind === 'hubert' && hearing.hubertChunks === 'long';
      for (const row of wholeSound ? [11] : [0, 3, 11, 40]) {
        const sound = new NotingSound(new Float32Array(50_000));
        await featuresOf(hearing, sound, { start: row, end: row + 1 }).rowsFor({ start: row, end: row + 1 });
        const until = samplesUntilRow(row + hearing.rowsAfter, hearing);
        assert.equal(until, wholeSound ? Number.POSITIVE_INFINITY : sound.to, `end of ${row}`);
        assert.ok(firstSampleOfRow(row - hearing.rowsBefore, hearing) <= sound.from, `start of ${row}`);
      }
    });

    it(`${name}: a segment hears what is said of it, and nothing else`, async () => {
      const samples = noise(80_000);
      const frameRate = AUDIO_KIND_FACTS[hearing.kind].framesPerSecond;
      const totalFrames = 5 * frameRate;
      const whole = featuresOf(hearing, new NotingSound(samples), ENCODER_BATCH);
      for (const [start, end] of [
        [0, 10],
        [33, 43],
        [totalFrames - 10, totalFrames],
      ] as const) {
        const request = { frames: { start, end }, totalFrames, frameRate, batchFrames: 4 };
        const heard = soundOfFrames({ ...request, encoderBatchWindows: ENCODER_BATCH }, hearing, samples.length);
        const sound = new NotingSound(samples);
        const features = featuresOf(hearing, sound, ENCODER_BATCH);
        for (let frame = heard.computed.start; frame < heard.computed.end; frame++) {
          await inputOf(hearing, features, frame);
        }
        assert.ok(heard.samples.start <= sound.from && sound.to <= heard.samples.end, `frames from ${start}`);
        // Another sound everywhere else, which goes on where its end is not heard.
        const other = noise(samples.length + (heard.seesEnd ? 0 : 20_000)).reverse();
        other.set(samples.subarray(heard.samples.start, heard.samples.end), heard.samples.start);
        const elsewhere = featuresOf(hearing, new NotingSound(other), ENCODER_BATCH);
        for (let frame = start; frame < end; frame += 3) {
          const expected = await inputOf(hearing, whole, frame);
          assert.deepEqual(await inputOf(hearing, elsewhere, frame), expected, `frame ${frame}`);
        }
      }
    });

    it(`${name}: a frame is the same from any part of the sound`, async () => {
      const samples = noise(45_000);
      const whole = featuresOf(hearing, new NotingSound(samples), 4);
      for (const row of [0, 1, 7, 20, 52]) {
        const expected = await inputOf(hearing, whole, row);
        const until = Math.min(samples.length, samplesUntilRow(row + hearing.rowsAfter, hearing));
        const from = firstSampleOfRowToEnd(row - hearing.rowsBefore, hearing, samples.length);
        const heard = samples.slice(0, until).fill(0, 0, from);
        const alone = featuresOf(hearing, new NotingSound(heard), { start: row, end: row + 1 });
        assert.deepEqual(await inputOf(hearing, alone, row), expected, `row ${row}`);
      }
    });
  }

  it('have as many rows of wenet as the original takes chunks of filter banks', () => {
    for (let sampleCount = 1; sampleCount < 4000; sampleCount += 13) {
      const frames = 1 + Math.floor((sampleCount + 67 * 160 - 400) / 160);
      let rows = 0;
      for (let end = 0; end < frames; end = 5 * rows++ + 67);
      assert.equal(wenetRowCount(sampleCount), rows, `${sampleCount} samples`);
    }
  });

  it('take the filter banks that Kaldi makes, within 1e-4', async (t) => {
    const random = noise(8000);
    const samples = random.map((value, n) => {
      const high = n > 3000 ? 0.2 * Math.sin((2 * Math.PI * 1871 * n) / 16_000) : 0;
      return 0.4 * Math.sin((2 * Math.PI * 220 * n) / 16_000) + high + 0.05 * value;
    });
    const expected = fixtureFloats('fbank-expected.f32');
    const fbank = await readFbank(new NotingSound(samples), { start: 0, end: 120 });
    const kept = Array.from({ length: 13 }, (_, place) => [...fbank.subarray(place * 720, place * 720 + 80)]).flat();
    const error = largestDifference(kept, expected);
    t.diagnostic(`largest error ${error}`);
    assert.ok(error < 1e-4, `largest error ${error}`);
    assert.ok(
      fbank.subarray(115 * 80).every((value) => value === 0),
      'frames after the last are zeros',
    );
  });

  it('join the hidden states of 20 s at a time as the original does', async () => {
    const samples = noise(20 * 16_000 + 7000).map((value) => value + 0.1);
    const hearing = hearingOfShape([16, 32, 32], {}, 'a.onnx');
    const encoder = encoderFor('hubert');
    const mean = samples.reduce((sum, value) => sum + value, 0) / samples.length;
    const variance = samples.reduce((sum, value) => sum + (value - mean) ** 2, 0) / samples.length;
    const levelled = samples.map((value) => (value - mean) / Math.sqrt(variance + 1e-7));
    const pieces = [levelled.subarray(0, 320_080), levelled.subarray(320_000)];
    const states = await Promise.all(pieces.map((piece) => encoder.encode(piece, 1)));
    const rows = new Float32Array(Math.floor((samples.length - 80) / 320) * STATE_FLOATS);
    for (const [place, part] of states.entries()) rows.set(part, place * 1000 * STATE_FLOATS);
    const features = featuresOf(hearing, new NotingSound(samples), 4);
    const { data, firstRow } = await features.rowsFor({ start: 498, end: 530 });
    const expected = rows.subarray(firstRow * 2 * STATE_FLOATS);
    assert.ok(largestDifference(data.subarray(0, expected.length), expected) < 1e-3);
    // An odd state is followed by zeros.
    assert.ok(
      data.length - expected.length < 2 * STATE_FLOATS && data.subarray(expected.length).every((value) => value === 0),
    );
  });

  it('say how long a frame waits', () => {
    const latencies = HEARINGS.map(([, hearing]) => [7, 2].map((ahead) => algorithmicLatencyMs(hearing, ahead)));
    const never = Number.POSITIVE_INFINITY;
    assert.deepEqual(latencies, [
      [450, 250],
      [never, never],
      [645, 605],
      [805, 605],
      [515, 465],
      [715, 465],
    ]);
  });
});
