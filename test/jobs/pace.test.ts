import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pace } from '../../worker/jobs/pace.ts';

test('a job is done when it goes on at its pace, whatever came before its first part', () => {
  const pace = new Pace();
  assert.equal(pace.leftMs(0), undefined);
  // Ten seconds for loading the model.
  pace.note(0, 0);
  pace.note(10, 10_000);
  assert.equal(pace.leftMs(10_000), undefined, 'one look shows no pace');
  pace.note(30, 12_000);
  assert.equal(pace.leftMs(12_000), 7000);
  assert.equal(pace.leftMs(14_000), 5000);
});
