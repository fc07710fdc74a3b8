import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../shared/errors/catalogue.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { Blocklist } from '../../worker/queues/blocklist.ts';

const SEGMENT = { name: 'segment', modelId: 'ann' } as const;
const LIVE = { name: 'live', modelId: 'ann' } as const;

function fail(blocklist: Blocklist, job: typeof SEGMENT | typeof LIVE, times: number, code: ErrorCode): void {
  for (let time = 1; time <= times; time++) blocklist.failed(job, new FarmError(code, `failure ${time}`));
}

test('a model is blocked at the third failure in a row, with the reason', () => {
  let changes = 0;
  const blocklist = new Blocklist(() => changes++);
  fail(blocklist, SEGMENT, 2, 'inference_failed');
  assert.equal(blocklist.of('ann'), null);
  fail(blocklist, SEGMENT, 1, 'encode_failed');
  assert.deepEqual({ ...blocklist.of('ann'), sinceMs: 0 }, { code: 'encode_failed', reason: 'failure 1', sinceMs: 0 });
  assert.equal(blocklist.of('bob'), null);
  assert.equal(changes, 1);
});

test('a success in between makes the count begin anew', () => {
  const blocklist = new Blocklist(() => {});
  fail(blocklist, SEGMENT, 2, 'inference_failed');
  blocklist.succeeded(SEGMENT);
  fail(blocklist, SEGMENT, 2, 'inference_failed');
  assert.equal(blocklist.of('ann'), null);
});

test('segments and live requests are counted apart', () => {
  const blocklist = new Blocklist(() => {});
  fail(blocklist, SEGMENT, 2, 'inference_failed');
  fail(blocklist, LIVE, 2, 'inference_failed');
  assert.equal(blocklist.of('ann'), null);
});

test('what no other worker could do better does not count', () => {
  const blocklist = new Blocklist(() => {});
  for (const code of ['request_invalid', 'audio_empty', 'request_cancelled', 'storage_failed'] as const) {
    fail(blocklist, LIVE, 3, code);
  }
  assert.equal(blocklist.of('ann'), null);
});

test('a model is taken up again when it works after all, and when that is ordered', () => {
  const blocklist = new Blocklist(() => {});
  fail(blocklist, SEGMENT, 3, 'inference_failed');
  blocklist.succeeded(LIVE);
  assert.equal(blocklist.of('ann'), null);
  fail(blocklist, SEGMENT, 2, 'inference_failed');
  assert.equal(blocklist.of('ann'), null, 'and its failures are forgotten');
  fail(blocklist, SEGMENT, 1, 'inference_failed');
  assert.ok(blocklist.of('ann'));
  blocklist.clear();
  assert.equal(blocklist.of('ann'), null);
});
