import assert from 'node:assert/strict';
import { it } from 'node:test';
import { retryAfterMs } from '../../worker/webhooks/retry-after.ts';

const NOW_MS = Date.parse('2026-11-27T21:30:00Z');
const asked = (text: string | undefined, status = 503) =>
  retryAfterMs({ status, headers: { 'retry-after': text } }, NOW_MS);

it('Retry-After is read in seconds and as a date, of 429 and 503, and kept for six hours at most', () => {
  assert.deepEqual([asked('120'), asked(' 0 ', 429)], [120_000, 0]);
  assert.equal(asked('Fri, 27 Nov 2026 21:31:00 GMT'), 60_000);
  assert.equal(asked('Fri, 27 Nov 2026 21:29:00 GMT'), 0, 'it has passed');
  for (const long of ['99999999', '999999999999999', 'Fri, 27 Nov 2099 21:31:00 GMT']) {
    assert.equal(asked(long), 6 * 3_600_000);
  }
  for (const none of [undefined, '', 'soon', '-5', '1.5', '2026-11-28', 'Fri, 99 Nov 2026 21:31:00 GMT']) {
    assert.equal(asked(none), undefined, none);
  }
  assert.equal(asked('120', 500), undefined);
});
