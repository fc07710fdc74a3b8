/** Part of the demo's generator: 16 feature rows → how the mouth is held at this frame. */

import type { GraphBuilder, TensorName } from '../../shared/onnx/graph.ts';
import { FEATURE_SIZE, WINDOW_MEL_FRAMES } from '../../shared/sound/rates.ts';
import { type GraphMath, mathOf } from '../onnx/math.ts';
import { BAND_GROUPS, groupCentreHz } from './audio-features.ts';

const ROWS = 16;
/** Rows of the audio input that are read: the frame's own is row 8. */
const FIRST_ROW = 7;
const END_ROW = 10;
/**
 * Row r of frame i's input is window i + r − 9, which starts at mel frame int(3.2·(i + r − 9)); the frame's middle is at
 * mel frame 3.2·i + 1.6. So it lies 3.2·(9 − r) + 1.6 mel frames into the window, and 0.4 more for int() on average.
 */
const MEL_FRAMES_PER_FRAME = 3.2;
const ROW_OF_WINDOW_AT_FRAME = 9;
const FRAME_MIDDLE = 1.6 + 0.4;
/** Half width of the triangle that the level is averaged over, in mel frames: 37 ms, no jitter and no visible lag. */
const LEVEL_SMOOTHING = 3;
/** The mouth's shape changes slower than its opening. */
const SHAPE_SMOOTHING = 7;

/** Frequencies in Hz that tell about the mouth: [from, to). */
const VOICE_HZ: Span = [80, 4000];
const LOW_FORMANT_HZ: Span = [250, 1000];
const HIGH_FORMANT_HZ: Span = [1700, 3600];
const HISS_HZ: Span = [4200, 7600];
type Span = readonly [from: number, to: number];

/** Levels are root mean squares, full scale 1. Below the first the mouth stays shut; at the second it is 63 % open. */
const SHUT_LEVEL = 0.004;
const OPEN_LEVEL = 0.13;
/** Below 1 quiet voices open the mouth more than in proportion, as people hear them. */
const LOUDNESS_POWER = 0.8;
/** s, sh, f: teeth apart, no more. */
const HISS_OPENING = 0.16;
const HISS_LEVEL = 0.02;
/** Ratio of high to low formant level that is neither round (oo) nor wide (ee), and the factor from there to either. */
const NEUTRAL_RATIO = 0.095;
const RATIO_FACTOR = 4;
/** Keeps the ratio of two silences at 1. */
const FAINT_LEVEL = 0.0005;
/** Where the mouth is hardly open its shape does not matter: it is scaled in up to this opening. */
const SHAPE_FULL_AT_OPENING = 0.22;

export interface Articulation {
  /** [batch, 1, 1, 1], 0 shut … 1. */
  readonly opening: TensorName;
  /** [batch, 1, 1, 1], −1 round … 1 wide. */
  readonly wideness: TensorName;
}

/** @param audio [batch, 32, 16, 16]: 16 rows of 512 features, zeros where there is no sound. */
export function readArticulation(graph: GraphBuilder, audio: TensorName): Articulation {
  const m = mathOf(graph);
  const rows = m.reshape(audio, -1, ROWS, FEATURE_SIZE);
  const near = m.slice(rows, { axis: 1, start: FIRST_ROW, end: END_ROW });
  const flat = m.reshape(near, -1, (END_ROW - FIRST_ROW) * FEATURE_SIZE);
  const voice = levelOf(graph, m, flat, VOICE_HZ, LEVEL_SMOOTHING);
  const hiss = levelOf(graph, m, flat, HISS_HZ, LEVEL_SMOOTHING);
  const low = levelOf(graph, m, flat, LOW_FORMANT_HZ, SHAPE_SMOOTHING);
  const high = levelOf(graph, m, flat, HIGH_FORMANT_HZ, SHAPE_SMOOTHING);

  const voiced = opennessAt(m, voice, OPEN_LEVEL);
  const hissed = m.mul(opennessAt(m, hiss, HISS_LEVEL), HISS_OPENING);
  const opening = m.max(voiced, hissed);
  const ratio = m.div(m.add(high, FAINT_LEVEL), m.add(low, FAINT_LEVEL));
  const shape = m.clip(m.div(m.log(m.div(ratio, NEUTRAL_RATIO)), Math.log(RATIO_FACTOR)), -1, 1);
  const wideness = m.mul(shape, m.ramp(opening, 0, SHAPE_FULL_AT_OPENING));
  return { opening: m.reshape(opening, -1, 1, 1, 1), wideness: m.reshape(wideness, -1, 1, 1, 1) };
}

/** Root mean square around the frame's middle of what lies within `span`: [batch, 1]. */
function levelOf(graph: GraphBuilder, m: GraphMath, flat: TensorName, span: Span, smoothing: number): TensorName {
  const weights = levelWeights(span, smoothing);
  return m.sqrt(m.matMul(flat, graph.tensor([weights.length, 1], weights)));
}

/** 0 up to SHUT_LEVEL, then rising at once, 63 % at about `scale`, never beyond 1. */
function opennessAt(m: GraphMath, level: TensorName, scale: number): TensorName {
  const loudness = m.pow(m.div(m.relu(m.sub(level, SHUT_LEVEL)), scale), LOUDNESS_POWER);
  return m.sub(1, m.exp(m.mul(loudness, -1)));
}

/** Weights of the flat rows: a triangle around the frame's middle, averaged over the rows, for the groups in `span`. */
function levelWeights([from, to]: Span, smoothing: number): Float32Array {
  const weights = new Float32Array((END_ROW - FIRST_ROW) * FEATURE_SIZE);
  for (let row = FIRST_ROW; row < END_ROW; row++) {
    const middle = MEL_FRAMES_PER_FRAME * (ROW_OF_WINDOW_AT_FRAME - row) + FRAME_MIDDLE;
    const triangle = Array.from({ length: WINDOW_MEL_FRAMES }, (_, t) =>
      Math.max(0, 1 - Math.abs(t - middle) / smoothing),
    );
    const sum = triangle.reduce((a, b) => a + b, 0) * (END_ROW - FIRST_ROW);
    for (let group = 0; group < BAND_GROUPS; group++) {
      const hertz = groupCentreHz(group);
      if (hertz < from || hertz >= to) continue;
      const at = (row - FIRST_ROW) * FEATURE_SIZE + group * WINDOW_MEL_FRAMES;
      triangle.forEach((value, time) => {
        weights[at + time] = value / sum;
      });
    }
  }
  return weights;
}
