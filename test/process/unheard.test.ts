import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { ifMissing, ignored, logged, logUnheardTo } from '../../shared/process/unheard.ts';

describe('faults that nobody awaits', () => {
  it('are logged once a minute for the same words, with the number in between', (context) => {
    let nowMs = 5000;
    context.mock.method(performance, 'now', () => nowMs);
    const lines: unknown[] = [];
    logUnheardTo({ warn: (fields, message) => lines.push([fields, message]) });

    for (let time = 0; time < 1000; time++) logged('could not remove a draft')(new Error('disk full'));
    logged('could not touch a lock')('gone');
    nowMs += 60_000;
    logged('could not remove a draft')(new Error('disk full'));

    assert.deepEqual(lines, [
      [{ reason: 'disk full' }, 'could not remove a draft'],
      [{ reason: 'gone' }, 'could not touch a lock'],
      [{ reason: 'disk full', timesBetween: 999 }, 'could not remove a draft'],
    ]);
  });

  it('are let go in silence where a reason is given, with another answer where one is given', async () => {
    assert.equal(await Promise.reject(new Error('x')).catch(ignored('told elsewhere')), undefined);
    assert.equal(await Promise.reject(new Error('x')).catch(ignored('told elsewhere', false)), false);
  });

  it('of a file that is not there are an answer, and all others are thrown', async () => {
    assert.equal(await stat('/no/such/file').catch(ifMissing()), undefined);
    assert.deepEqual(await stat(`${import.meta.filename}/below`).catch(ifMissing([])), []);
    await assert.rejects(stat('/no\0file').catch(ifMissing()), { code: 'ERR_INVALID_ARG_VALUE' });
  });
});
