/** The voice, and the mouth's opening under it: docs/quality.md. */
import { type FrameRate, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import type { Quality } from '../../shared/views/quality-view.ts';
import { drawTimes, escaped, short, svgDocument, type TimeAxis } from './drawing.ts';
import { quantileOf } from './series.ts';

export interface WaveformParts {
  readonly renderId: string;
  readonly modelId: string;
  /** How loud each frame is, 0 … 1. */
  readonly levels: Float64Array;
  /** In hundredths of a grey level, as many. */
  readonly opening: readonly number[];
  readonly quality: Quality;
  /** Frames a second; 25 when absent. */
  readonly frameRate?: FrameRate | undefined;
}

const WIDTH = 1200;
const LEFT = 74;
const RIGHT = 20;
/** Heights of the two bands, and where they lie. */
const VOICE = { middle: 96, half: 48 };
const MOUTH = { bottom: 270, height: 88 };
const AXIS_AT = 278;
const HEIGHT = 318;
const STYLE = '.voice{fill:var(--blue)}.mouth{fill:var(--pink)}.warn{fill:var(--red)}';

/** An SVG. */
export function drawWaveform({ renderId, modelId, levels, opening, quality, frameRate }: WaveformParts): string {
  const seconds = levels.length / (frameRate ?? USUAL_FRAME_RATE);
  const axis: TimeAxis = { left: LEFT, width: WIDTH - LEFT - RIGHT, seconds };
  const loudest = Math.max(...columns(levels), 1e-6);
  // From the closed mouth up.
  const closed = quantileOf(opening, 0.02);
  const above = opening.map((value) => Math.max(0, value - closed));
  const widest = Math.max(...columns(above), 50);
  const voice = columns(levels).map((level) => (VOICE.half * level) / loudest);
  const mouth = columns(above).map((value) => (MOUTH.height * value) / widest);
  const top = voice.map((height, at) => [at, VOICE.middle - Math.max(0.5, height)] as const);
  const bottom = voice.map((height, at) => [at, VOICE.middle + Math.max(0.5, height)] as const);
  const mouthTop = mouth.map((height, at) => [at, MOUTH.bottom - height] as const);
  const mouthBottom = mouth.map((_, at) => [at, MOUTH.bottom + 1] as const);
  const said = saidOf(quality);
  const body = [
    `<text class="heading" x="${LEFT}" y="26">Voice and mouth</text>`,
    `<text class="soft end" x="${WIDTH - RIGHT}" y="26">${escaped(said)}</text>`,
    drawTimes(axis, 42, AXIS_AT),
    `<text x="14" y="${VOICE.middle + 5}">voice</text>`,
    `<text x="14" y="${MOUTH.bottom - MOUTH.height / 2 + 5}">mouth</text>`,
    `<path class="voice" d="${outline(top, bottom, axis)}"/>`,
    `<path class="mouth" d="${outline(mouthTop, mouthBottom, axis)}"/>`,
  ].join('\n');
  const title = `Voice and mouth of render ${renderId}, model ${modelId}`;
  const description = `How loud the voice is, and under it how far the mouth is open, over ${short(axis.seconds)} seconds. ${said}.`;
  return svgDocument({ width: WIDTH, height: HEIGHT, title, description, style: STYLE, body });
}

/** Most values that are drawn side by side. */
const MOST_COLUMNS = WIDTH - LEFT - RIGHT;

/** The values, or the largest of each stretch where there are more than can be drawn. */
function columns(values: ArrayLike<number>): number[] {
  const count = Math.min(values.length, MOST_COLUMNS);
  const columns = new Array<number>(count).fill(0);
  for (let at = 0; at < values.length; at++) {
    const column = Math.floor((at * count) / values.length);
    columns[column] = Math.max(columns[column] as number, values[at] as number);
  }
  return columns;
}

/** A closed line along the first points and back along the second ones; each column is drawn in the middle of its time. */
function outline(
  there: readonly (readonly [number, number])[],
  back: readonly (readonly [number, number])[],
  { left, width }: TimeAxis,
): string {
  const points = [...there, ...back.toReversed()];
  return `M${points.map(([at, y]) => `${short(left + ((at + 0.5) * width) / there.length)} ${short(y)}`).join('L')}Z`;
}

/** The numbers of mouth and voice, in words. */
function saidOf({ mouth, findings }: Quality): string {
  if (findings.includes('mouth_still')) return 'The mouth does not move';
  const { correlation, lag_frames } = mouth;
  if (correlation === null || lag_frames === null) return 'Too little voice to compare';
  const frames = `${Math.abs(lag_frames)} ${Math.abs(lag_frames) === 1 ? 'frame' : 'frames'}`;
  const lag = lag_frames === 0 ? 'in step' : `${frames} ${lag_frames > 0 ? 'late' : 'early'}`;
  return `correlation ${correlation.toFixed(2)}, ${lag}`;
}
