import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseByteRange } from '../../api/http/byte-range.ts';

const SIZE = 1000;

const RANGES: [string, string, { start: number; end: number }][] = [
  ['from the beginning', 'bytes=0-', { start: 0, end: 999 }],
  ['from the middle to the end', 'bytes=500-', { start: 500, end: 999 }],
  ['with both ends', 'bytes=10-19', { start: 10, end: 19 }],
  ['of one byte', 'bytes=0-0', { start: 0, end: 0 }],
  ['of the last byte', 'bytes=999-', { start: 999, end: 999 }],
  ['that goes beyond the end', 'bytes=900-5000', { start: 900, end: 999 }],
  ['of the last bytes', 'bytes=-100', { start: 900, end: 999 }],
  ['of more last bytes than there are', 'bytes=-5000', { start: 0, end: 999 }],
  ['with blanks', 'bytes = 10 - 19', { start: 10, end: 19 }],
  ['with an end beyond all numbers', `bytes=0-${'9'.repeat(40)}`, { start: 0, end: 999 }],
];
for (const [what, header, range] of RANGES) {
  test(`a range ${what} is read`, () => {
    assert.deepEqual(parseByteRange(header, SIZE), range);
  });
}

const WHOLE: [string, string | undefined][] = [
  ['no header', undefined],
  ['an empty header', ''],
  ['another unit', 'frames=0-10'],
  ['several ranges', 'bytes=0-9,20-29'],
  ['no numbers', 'bytes=-'],
  ['no range', 'bytes='],
  ['words', 'bytes=first-last'],
  ['an end before the beginning', 'bytes=20-10'],
  ['a negative beginning', 'bytes=-5-10'],
  ['fractions', 'bytes=0.5-10'],
];
for (const [what, header] of WHOLE) {
  test(`${what} means the whole file`, () => {
    assert.equal(parseByteRange(header, SIZE), undefined);
  });
}

for (const [what, header] of [
  ['that begins at the end', 'bytes=1000-'],
  ['that lies behind the end', 'bytes=2000-3000'],
  ['of no last bytes', 'bytes=-0'],
  ['that begins beyond all numbers', `bytes=${'9'.repeat(40)}-`],
] as const) {
  test(`a range ${what} is refused with the size of the file`, () => {
    assert.throws(() => parseByteRange(header, SIZE), {
      code: 'range_unsatisfiable',
      message: `${header} lies outside the file, which has 1000 bytes`,
    });
  });
}

test('an empty file has no range', () => {
  for (const header of ['bytes=0-', 'bytes=-1', 'bytes=0-0']) {
    assert.throws(() => parseByteRange(header, 0), { code: 'range_unsatisfiable' });
  }
  assert.equal(parseByteRange(undefined, 0), undefined);
});
