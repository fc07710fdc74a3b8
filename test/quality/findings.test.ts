import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { QualityFinding } from '../../shared/views/quality-view.ts';
import { assess } from '../../worker/quality/assess.ts';
import { type Fault, spoken } from './made-mouths.ts';

/** More of them with QUALITY_AVATARS=500. */
const AVATARS = Number(process.env.QUALITY_AVATARS ?? 40);
/** Of a hundred avatars, some are between good and bad. */
const MOST_WRONG = 0.03;

const EXPECTED: Readonly<Record<Fault, readonly QualityFinding[]>> = {
  none: [],
  early: ['mouth_out_of_step'],
  late: ['mouth_out_of_step'],
  restless: ['restless_in_silence'],
  deaf: ['mouth_unlike_voice'],
  still: ['mouth_still'],
  seam: ['seam_visible'],
};

describe('the findings of an avatar', () => {
  for (const fault of Object.keys(EXPECTED) as Fault[]) {
    const expected = EXPECTED[fault].join();
    it(`are ${expected === '' ? 'none' : `${expected} alone`} where its fault is: ${fault}`, () => {
      const wrong: string[] = [];
      for (let seed = 1; seed <= AVATARS; seed++) {
        const { levels, measures } = spoken(seed, fault);
        const { findings, ...numbers } = assess(measures, levels);
        if (findings.join() !== expected) wrong.push(`avatar ${seed}: ${findings.join()} ${JSON.stringify(numbers)}`);
      }
      assert.ok(wrong.length <= MOST_WRONG * AVATARS, wrong.join('\n'));
    });
  }
});
