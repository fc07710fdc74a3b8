import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ErrorCode, FarmError } from '../../shared/errors.ts';
import { SetAsides } from '../../worker/queues/blocklist.ts';

const SEGMENT = { name: 'segment', modelId: 'ann' } as const;
const LIVE = { name: 'live', modelId: 'ann' } as const;

function fail(setAsides: SetAsides, job: typeof SEGMENT | typeof LIVE, times: number, code: ErrorCode): void {
  for (let time = 1; time <= times; time++) setAsides.failed(job, new FarmError(code, `failure ${time}`));
}

test('a model is set aside at the third failure in a row, with the reason', () => {
  let changes = 0;
  const setAsides = new SetAsides(() => changes++);
  fail(setAsides, SEGMENT, 2, 'inference_failed');
  assert.equal(setAsides.of('ann'), null);
  fail(setAsides, SEGMENT, 1, 'encode_failed');
  assert.deepEqual({ ...setAsides.of('ann'), sinceMs: 0 }, { code: 'encode_failed', reason: 'failure 1', sinceMs: 0 });
  assert.equal(setAsides.of('bob'), null);
  assert.equal(changes, 1);
});

test('a success in between makes the count begin anew', () => {
  const setAsides = new SetAsides(() => {});
  fail(setAsides, SEGMENT, 2, 'inference_failed');
  setAsides.succeeded(SEGMENT);
  fail(setAsides, SEGMENT, 2, 'inference_failed');
  assert.equal(setAsides.of('ann'), null);
});

test('segments and live requests are counted apart', () => {
  const setAsides = new SetAsides(() => {});
  fail(setAsides, SEGMENT, 2, 'inference_failed');
  fail(setAsides, LIVE, 2, 'inference_failed');
  assert.equal(setAsides.of('ann'), null);
});

test('what no other worker could do better does not count', () => {
  const setAsides = new SetAsides(() => {});
  for (const code of ['request_invalid', 'audio_empty', 'request_cancelled', 'storage_failed'] as const) {
    fail(setAsides, LIVE, 3, code);
  }
  assert.equal(setAsides.of('ann'), null);
});

test('a model is taken up again when it works after all, and when that is ordered', () => {
  const setAsides = new SetAsides(() => {});
  fail(setAsides, SEGMENT, 3, 'inference_failed');
  setAsides.succeeded(LIVE);
  assert.equal(setAsides.of('ann'), null);
  fail(setAsides, SEGMENT, 2, 'inference_failed');
  assert.equal(setAsides.of('ann'), null, 'and its failures are forgotten');
  fail(setAsides, SEGMENT, 1, 'inference_failed');
  assert.ok(setAsides.of('ann'));
  setAsides.clear();
  assert.equal(setAsides.of('ann'), null);
});
