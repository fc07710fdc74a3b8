import type { Quality, QualityFinding } from './quality-view.ts';

/** What the numbers of a finished render say, as a line for people; docs/quality.md says what to do about each. */

const WORDS: Readonly<Record<QualityFinding, (quality: Quality) => string>> = {
  mouth_still: ({ mouth }) => `the mouth hardly moves: ${mouth.movement.toFixed(1)} grey levels, above 1 is good`,
  mouth_unlike_voice: ({ mouth }) =>
    `the mouth does not follow the voice: correlation ${mouth.correlation?.toFixed(2)}, above 0.6 is good`,
  mouth_out_of_step: ({ mouth }) => {
    const lag = mouth.lag_frames ?? 0;
    return `the mouth is ${Math.abs(lag)} frames ${lag > 0 ? 'behind' : 'ahead of'} the voice`;
  },
  seam_visible: ({ seam }) =>
    `the border of the mouth shows: ${seam.added.toFixed(1)} grey levels, below 3 is good; most in frame ${seam.worst_frame}`,
  restless_in_silence: ({ silence }) =>
    `the mouth moves in silence: stillness ${silence.stillness?.toFixed(2)}, above 0.7 is good`,
};

export const NO_FINDING = 'nothing found';

/** A line for each finding, or one that says that there is none. Later versions of the farm may find more. */
export function qualityLines(quality: Quality): string[] {
  if (quality.findings.length === 0) return [NO_FINDING];
  return quality.findings.map((finding) => {
    const words = WORDS[finding as QualityFinding] as ((quality: Quality) => string) | undefined;
    return words ? `${finding}: ${words(quality)}` : finding;
  });
}
