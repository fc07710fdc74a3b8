import assert from 'node:assert/strict';
import { it } from 'node:test';
import { formatLine } from '../../cli/log-lines.ts';

it('a terminal obeys nothing that a client has written into a log line', () => {
  const entry = { level: 30, time: 0, msg: 'upload \u001b[31m', file: 'a\u0007\u009b2J\u202egnp.wav' };
  for (const line of [JSON.stringify(entry), `${entry.msg} ${entry.file}`]) {
    const shown = formatLine('api', line);
    assert.ok(shown.includes('\\u001b[31m') && shown.includes('a\\u0007\\u009b2J\\u202egnp.wav'), shown);
  }
});

it('the reason of an error is shown, and its stack is not', () => {
  const err = { type: 'FarmError', message: 'the disk is full', stack: 'Error: at a.ts' };
  const shown = formatLine('api', JSON.stringify({ level: 50, time: 0, code: 'storage_full', err, msg: 'failed' }));
  assert.match(shown, /ERROR failed {2}code=storage_full {2}reason=the disk is full$/);
});
