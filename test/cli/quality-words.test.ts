import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QUALITY_FINDINGS, type Quality } from '../../shared/views/quality-view.ts';
import { NO_FINDING, qualityLines } from '../../shared/views/quality-words.ts';

test('farm show says each finding with its number, that there is none, and what a later farm finds as it is', () => {
  const quality: Quality = {
    mouth: { movement: 0.26, correlation: 0.2, lag_frames: -4 },
    seam: { energy: 20, background: 10, added: 17.32, worst_frame: 23 },
    silence: { frames: 20, stillness: 0.3 },
    findings: [...QUALITY_FINDINGS, 'teeth_flicker'],
  };
  assert.deepEqual(qualityLines({ ...quality, findings: [] }), [NO_FINDING]);
  const lines = qualityLines(quality);
  assert.match(lines[0] ?? '', /^mouth_still: .* 0\.3 grey levels/);
  assert.match(lines[1] ?? '', /^mouth_out_of_step: the mouth is 4 frames ahead of the voice$/);
  assert.match(lines[2] ?? '', /correlation 0\.20/);
  assert.match(lines[3] ?? '', /17\.3 grey levels.*frame 23$/);
  assert.match(lines[4] ?? '', /stillness 0\.30/);
  assert.equal(lines[5], 'teeth_flicker');
});
