/** How good a render looks, from what was measured of its frames: docs/quality.md. */
import type { Quality, QualityFinding } from '../../shared/views/quality-view.ts';
import { NO_MOUTH } from './measure-frame.ts';
import type { Measures } from './segment-notes.ts';
import { correlationOf, deviationOf, meanOf, quantileOf, runsOf, withoutDrift } from './series.ts';

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
/** Frames in silence, and in speech, that are needed to say how much the mouth moves in them. */
const FEWEST_IN_SILENCE = 6;

/** Beyond these the numbers are findings. */
const STILL_BELOW = 0.5;
const LAG_FROM = 3;
const UNLIKE_BELOW = 0.4;
const SEAM_ABOVE = 6;
const RESTLESS_BELOW = 0.6;

/** @param levels of the voice, as many as there are frames. */
export function assess({ opening, seam, background }: Measures, levels: Float64Array): Quality {
  const raw = withoutGaps(opening).map((value) => value / 100);
  const openings = withoutDrift(raw, DRIFT_REACH);
  const silent = silentFrames(levels);
  const followed = followedBy(levels, openings, silent);
  const mouth = { movement: rounded(deviationOf(openings)), ...followed };
  const rest = restOf({ raw, openings }, silent, isLike(followed) ? (followed.lag_frames ?? 0) : 0);
  const silence = { frames: silent.filter(Boolean).length, stillness: rest.stillness };
  const quality = { mouth, seam: seamOf(seam, background), silence };
  return { ...quality, findings: findingsOf(quality, isHeard(levels), rest.movement) };
}

/** A frame without a mouth counts as the one before it, and those at the beginning as the first that has one. */
function withoutGaps(opening: readonly number[]): number[] {
  let last = opening.find((value) => value !== NO_MOUTH) ?? 0;
  return opening.map((value) => {
    if (value !== NO_MOUTH) last = value;
    return last;
  });
}

function isHeard(levels: Float64Array): boolean {
  return quantileOf(levels, LOUD) >= INAUDIBLE;
}

type Followed = Pick<Quality['mouth'], 'correlation' | 'lag_frames'>;

function isLike({ correlation }: Followed): boolean {
  return correlation !== null && correlation >= UNLIKE_BELOW;
}

/** How well and how late the mouth follows the voice, where there is one: what it does in silence is no part of this. */
function followedBy(levels: Float64Array, openings: Float64Array, silent: readonly boolean[]): Followed {
  const unknown = { correlation: null, lag_frames: null };
  const frames = levels.length;
  if (frames < FEWEST_FRAMES || !isHeard(levels) || deviationOf(openings) < STILL_BELOW) return unknown;
  const voice = withoutDrift(levels, DRIFT_REACH);
  const reach = Math.min(LARGEST_LAG, Math.floor(frames / 4));
  let best = { correlation: -1, lag_frames: 0 };
  for (let step = 0; step <= 2 * reach; step++) {
    // 0, 1, -1, 2, -2, …: of equal ones the smallest counts.
    const lag_frames = (step % 2 === 0 ? -1 : 1) * Math.ceil(step / 2) + 0;
    const correlation = correlationOf(voice, openings, lag_frames, (frame) => !silent[frame]);
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

/**
 * How much the mouth moves in silence, and how much less that is than in speech.
 * @param raw the openings, as measured, and `openings` without drift. In silence the drift is that of silence alone, or
 * else the speech before and after would count as well.
 * @param lag of the mouth: it is at rest by so many frames later.
 */
function restOf(
  { raw, openings }: { readonly raw: readonly number[]; readonly openings: Float64Array },
  silent: readonly boolean[],
  lag: number,
): { movement: number; stillness: number | null } {
  const isSilent = (frame: number) => silent[frame - lag] ?? true;
  const rest = runsOf(raw, isSilent).flatMap((run) => [...withoutDrift(run, DRIFT_REACH)]);
  const speech = openings.filter((_, frame) => !isSilent(frame));
  const movement = deviationOf(rest);
  const isKnown = Math.min(rest.length, speech.length) >= FEWEST_IN_SILENCE && deviationOf(openings) >= STILL_BELOW;
  return { movement, stillness: isKnown ? rounded(Math.max(0, 1 - movement / deviationOf(speech))) : null };
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

/** @param restless how much the mouth moves in silence, in grey levels. */
function findingsOf(
  { mouth, seam, silence }: Omit<Quality, 'findings'>,
  heard: boolean,
  restless: number,
): QualityFinding[] {
  const found: Record<QualityFinding, boolean> = {
    mouth_still: heard && mouth.movement < STILL_BELOW,
    mouth_out_of_step: isLike(mouth) && Math.abs(mouth.lag_frames ?? 0) >= LAG_FROM,
    mouth_unlike_voice: mouth.correlation !== null && !isLike(mouth),
    seam_visible: seam.added > SEAM_ABOVE,
    restless_in_silence: silence.stillness !== null && silence.stillness < RESTLESS_BELOW && restless >= STILL_BELOW,
  };
  return (Object.keys(found) as QualityFinding[]).filter((name) => found[name]);
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
