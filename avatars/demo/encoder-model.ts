/** The demo's audio encoder: a mel window → how loud each group of mel bands is at each of its 16 mel frames. */

import { type Graph, GraphBuilder } from '../../shared/onnx/graph.ts';
import { FEATURE_SIZE, MEL_BANDS, SAMPLE_RATE_HZ, WINDOW_MEL_FRAMES } from '../../shared/sound/rates.ts';
import { mathOf } from '../onnx/math.ts';
import { BAND_CENTRES_HZ, BAND_GROUPS, groupOfBand } from './audio-features.ts';

const PRE_EMPHASIS = 0.97;
/** Silence in the normalised mel, and decibels for each unit above it (8 units stand for 100 dB). */
const SILENCE = -4;
const DECIBELS_PER_UNIT = 12.5;
/** Makes the sum over all groups the mean square of ordinary speech: fitted once against recorded speech. */
const POWER_AT_SILENCE = 7.9e-11;

/** `mel_spectrogram` [batch, 1, 80, 16] → `audio_features` [batch, 512]; silent windows give zeros. */
export function encoderGraph(): Graph {
  const graph = new GraphBuilder(
    'demo_audio_encoder',
    'Procedural demo encoder of Lipsync Farm, not trained: power of 32 groups of mel bands at 16 mel frames.',
  );
  const m = mathOf(graph);
  const mel = graph.input('mel_spectrogram', ['batch', 1, MEL_BANDS, WINDOW_MEL_FRAMES]);
  const bands = m.reshape(mel, -1, MEL_BANDS, WINDOW_MEL_FRAMES);
  const exponent = m.mul(m.sub(bands, SILENCE), (Math.LN10 / 10) * DECIBELS_PER_UNIT);
  const power = m.sub(m.exp(exponent), 1);
  const pooled = m.matMul(graph.tensor([BAND_GROUPS, MEL_BANDS], poolingWeights()), power);
  graph.output('audio_features', m.reshape(pooled, -1, FEATURE_SIZE), ['batch', FEATURE_SIZE]);
  return graph.build();
}

/** [32, 80]: adds the bands of a group up, and takes back the pre-emphasis that the mel was made with. */
function poolingWeights(): Float32Array {
  const weights = new Float32Array(BAND_GROUPS * MEL_BANDS);
  BAND_CENTRES_HZ.forEach((hertz, band) => {
    weights[groupOfBand(band) * MEL_BANDS + band] = POWER_AT_SILENCE / preEmphasisPower(hertz);
  });
  return weights;
}

/** |1 − 0.97·e^(−jω)|², the power that the pre-emphasis leaves of a tone. */
function preEmphasisPower(hertz: number): number {
  const omega = (2 * Math.PI * hertz) / SAMPLE_RATE_HZ;
  return 1 + PRE_EMPHASIS ** 2 - 2 * PRE_EMPHASIS * Math.cos(omega);
}
