/** How good a render looks, from what was measured of its frames: docs/quality.md. */
import type { Quality, QualityFinding } from '../../shared/views/quality-view.ts';
import type { Measures } from './segment-notes.ts';
import { correlationOf, deviationOf, meanOf, quantileOf, withoutDrift } from './series.ts';

/** Lags in frames, either way, at which the mouth is compared with the voice. */
const LARGEST_LAG = 10;
/** Frames that are needed to say anything of mouth and voice: a second. */
const FEWEST_FRAMES = 25;
/** Whatever changes more slowly than over so many frames on each side is the head, not speech: a third of a second. */
const DRIFT_REACH = 8;
/** The voice is loud in a twentieth of all frames; silence is what stays below this share of that. */
const LOUD = 0.95;
const QUIET_SHARE = 0.05;
/** A sound that is never louder than this is silence, whatever is in it: −66 dB. */
const INAUDIBLE = 0.0005;
/** Frames to the next voice, either way, from which on silence counts: mouths open before it and close after it. */
const SILENCE_MARGIN = 5;
/** Steps from one frame to the next that a mean needs. */
const FEWEST_STEPS = 5;

/** Beyond these the numbers are findings. */
const STILL_BELOW = 0.5;
const LAG_FROM = 3;
const UNLIKE_BELOW = 0.35;
const SEAM_ABOVE = 6;
const RESTLESS_BELOW = 0.5;

/** @param levels of the voice, as many as there are frames. */
export function assess({ opening, seam, background }: Measures, levels: Float64Array): Quality {
  const openings = withoutDrift(
    opening.map((value) => value / 100),
    DRIFT_REACH,
  );
  const mouth = { movement: rounded(deviationOf(openings)), ...followedBy(levels, openings) };
  const quality = { mouth, seam: seamOf(seam, background), silence: silenceOf(levels, openings) };
  return { ...quality, findings: findingsOf(quality, isHeard(levels)) };
}

function isHeard(levels: Float64Array): boolean {
  return quantileOf(levels, LOUD) >= INAUDIBLE;
}

/** How well and how late the mouth follows the voice. */
function followedBy(
  levels: Float64Array,
  openings: Float64Array,
): Pick<Quality['mouth'], 'correlation' | 'lag_frames'> {
  const unknown = { correlation: null, lag_frames: null };
  const frames = levels.length;
  if (frames < FEWEST_FRAMES || !isHeard(levels) || deviationOf(openings) < STILL_BELOW) return unknown;
  const voice = withoutDrift(levels, DRIFT_REACH);
  const reach = Math.min(LARGEST_LAG, Math.floor(frames / 4));
  let best = { correlation: -1, lag_frames: 0 };
  for (let step = 0; step <= 2 * reach; step++) {
    // 0, 1, -1, 2, -2, …: of equal ones the smallest counts.
    const lag_frames = (step % 2 === 0 ? -1 : 1) * Math.ceil(step / 2) + 0;
    const correlation = correlationOf(voice, openings, lag_frames);
    if (correlation > best.correlation) best = { correlation, lag_frames };
  }
  return { ...best, correlation: rounded(best.correlation) };
}

/** Sums of whole numbers: the same in whatever pieces the frames came. */
function seamOf(seam: readonly number[], background: readonly number[]): Quality['seam'] {
  const [energy, before] = [meanOf(seam) / 100, meanOf(background) / 100];
  const added = seam.map((value, frame) => value - (background[frame] as number));
  return {
    energy: rounded(Math.sqrt(energy)),
    background: rounded(Math.sqrt(before)),
    added: rounded(Math.sqrt(Math.max(0, energy - before))),
    worst_frame: added.reduce((worst, value, frame) => (value > (added[worst] as number) ? frame : worst), 0),
  };
}

/** How much less the mouth moves in silence than in speech. */
function silenceOf(levels: Float64Array, openings: Float64Array): Quality['silence'] {
  const silent = silentFrames(levels);
  const steps = { silent: [] as number[], spoken: [] as number[] };
  for (let frame = 1; frame < levels.length; frame++) {
    if (silent[frame] !== silent[frame - 1]) continue;
    const step = Math.abs((openings[frame] as number) - (openings[frame - 1] as number));
    (silent[frame] ? steps.silent : steps.spoken).push(step);
  }
  const frames = silent.filter(Boolean).length;
  const moves = meanOf(steps.spoken);
  const isKnown =
    steps.silent.length >= FEWEST_STEPS && steps.spoken.length >= FEWEST_STEPS && deviationOf(openings) >= STILL_BELOW;
  return { frames, stillness: isKnown ? rounded(Math.max(0, 1 - meanOf(steps.silent) / moves)) : null };
}

function silentFrames(levels: Float64Array): boolean[] {
  const quiet = Math.max(INAUDIBLE, QUIET_SHARE * quantileOf(levels, LOUD));
  /** Frames since the last voice. */
  const gaps = new Int32Array(levels.length);
  let since = SILENCE_MARGIN;
  for (let frame = 0; frame < levels.length; frame++) {
    since = (levels[frame] as number) >= quiet ? -1 : since + 1;
    gaps[frame] = since;
  }
  since = SILENCE_MARGIN;
  const silent: boolean[] = new Array(levels.length).fill(false);
  for (let frame = levels.length - 1; frame >= 0; frame--) {
    since = (levels[frame] as number) >= quiet ? -1 : since + 1;
    silent[frame] = Math.min(since, gaps[frame] as number) >= SILENCE_MARGIN;
  }
  return silent;
}

function findingsOf({ mouth, seam, silence }: Omit<Quality, 'findings'>, heard: boolean): QualityFinding[] {
  const { correlation, lag_frames } = mouth;
  const isLike = correlation !== null && correlation >= UNLIKE_BELOW;
  const found: Record<QualityFinding, boolean> = {
    mouth_still: heard && mouth.movement < STILL_BELOW,
    mouth_out_of_step: isLike && Math.abs(lag_frames ?? 0) >= LAG_FROM,
    mouth_unlike_voice: correlation !== null && !isLike,
    seam_visible: seam.added > SEAM_ABOVE,
    restless_in_silence: silence.stillness !== null && silence.stillness < RESTLESS_BELOW,
  };
  return (Object.keys(found) as QualityFinding[]).filter((name) => found[name]);
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
