/** The numbers of a preview as rows of a table: docs/quality.md says how each is made. */

import type { Quality } from '../../shared/views/quality-view.ts';
import { NO_FINDING, qualityLines } from '../../shared/views/quality-words.ts';
import type { Finding } from '../avatar/finding.ts';

export interface NumberRow {
  readonly name: string;
  readonly value: string;
  /** What is good. */
  readonly good: string;
  readonly verdict: 'good' | 'look' | 'unknown';
}

export function numberRows({ mouth, seam, silence, findings }: Quality): NumberRow[] {
  const verdict = (value: number | null, ...bad: string[]) => {
    if (value === null) return 'unknown';
    return findings.some((finding) => bad.includes(finding)) ? 'look' : 'good';
  };
  const shown = (value: number | null, unit = '') => (value === null ? 'cannot be said' : `${value}${unit}`);
  return [
    {
      name: 'How much the mouth moves',
      value: shown(mouth.movement, ' grey levels'),
      good: 'above 1',
      verdict: verdict(mouth.movement, 'mouth_still'),
    },
    {
      name: 'How well it follows the voice (correlation)',
      value: shown(mouth.correlation),
      good: 'above 0.6',
      verdict: verdict(mouth.correlation, 'mouth_unlike_voice'),
    },
    {
      name: 'How late it is',
      value: shown(mouth.lag_frames, ' frames'),
      good: '−1 to 1',
      verdict: verdict(mouth.lag_frames, 'mouth_out_of_step'),
    },
    {
      name: 'What the seam at the rect’s border adds',
      value: shown(seam.added, ' grey levels'),
      good: 'below 3',
      verdict: verdict(seam.added, 'seam_visible'),
    },
    {
      name: 'How still it is in silence',
      value: shown(silence.stillness),
      good: 'above 0.75',
      verdict: verdict(silence.stillness, 'restless_in_silence'),
    },
  ];
}

/** The findings of a preview, in words. */
export function qualityFindings(quality: Quality): Finding[] {
  const lines = qualityLines(quality).filter((line) => line !== NO_FINDING);
  return lines.map((line, place) => {
    const code = quality.findings[place] ?? '';
    return { code, text: line.replace(`${code}: `, ''), pictures: [] };
  });
}
