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
