import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { status as grpcStatuses } from '@grpc/grpc-js';
import { ERROR_CATALOGUE, type ErrorCode } from '../../shared/errors/catalogue.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { errorReportSchema } from '../../shared/renders/record.ts';

const CODES = Object.keys(ERROR_CATALOGUE) as ErrorCode[];

/** The canonical gRPC status numbers, less OK (0) and UNKNOWN (2), which say nothing. */
const GRPC_STATUSES = [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

test('every code is written in snake_case and has a remedy that is a sentence', () => {
  for (const code of CODES) {
    assert.match(code, /^[a-z]+(_[a-z]+)*$/);
    assert.match(ERROR_CATALOGUE[code].remedy, /^[A-Z].*[^.]\.$/, code);
  }
});

test('every code answers with a 4xx or 5xx status and with a gRPC status that says something', () => {
  for (const code of CODES) {
    const { httpStatus, grpcStatus } = ERROR_CATALOGUE[code];
    assert.ok(httpStatus >= 400 && httpStatus <= 599, `${code} has HTTP status ${httpStatus}`);
    assert.ok(GRPC_STATUSES.includes(grpcStatus), `${code} has gRPC status ${grpcStatus}`);
  }
});

test('HTTP and gRPC agree on who is at fault', () => {
  const expected: Record<number, readonly number[]> = { 404: [5], 401: [16], 429: [8], 416: [11], 503: [14, 9] };
  for (const code of CODES) {
    const { httpStatus, grpcStatus } = ERROR_CATALOGUE[code];
    const allowed = expected[httpStatus];
    if (allowed) assert.ok(allowed.includes(grpcStatus), `${code}: HTTP ${httpStatus}, gRPC ${grpcStatus}`);
    else assert.ok(![5, 16, 8, 11].includes(grpcStatus), `${code}: HTTP ${httpStatus}, gRPC ${grpcStatus}`);
  }
});

test('what the caller must change is not tried again unchanged', () => {
  for (const code of CODES) {
    const { httpStatus, retryable } = ERROR_CATALOGUE[code];
    if (httpStatus < 500 && httpStatus !== 429) assert.equal(retryable, false, code);
  }
});

test('an error knows what the catalogue says of its code', () => {
  const error = new FarmError('queue_full', '50 renders are unfinished');
  assert.equal(error.name, 'FarmError');
  assert.equal(error.message, '50 renders are unfinished');
  assert.equal(error.httpStatus, 429);
  assert.equal(error.retryable, true);
});

test('an error survives the way through a report, for every code', () => {
  for (const code of CODES) {
    const report = new FarmError(code, `what happened: ${code}`).toReport();
    assert.deepEqual(errorReportSchema.parse(JSON.parse(JSON.stringify(report))), report);
    const rebuilt = FarmError.fromReport(report);
    assert.ok(rebuilt instanceof FarmError);
    assert.deepEqual(rebuilt.toReport(), report);
  }
});

test('a report holds nothing of the cause', () => {
  const report = new FarmError('internal', 'It broke', { cause: new Error('secret') }).toReport();
  assert.deepEqual(Object.keys(report), ['code', 'message', 'remedy']);
});

test('one of our errors stays the one it is', () => {
  const error = new FarmError('audio_empty', 'no samples');
  assert.equal(FarmError.from(error), error);
  assert.equal(FarmError.from(error, 'encode_failed'), error);
});

test('any other error becomes one of ours and keeps its cause', () => {
  const cause = new TypeError('x is not a function');
  const error = FarmError.from(cause);
  assert.equal(error.code, 'internal');
  assert.equal(error.message, 'x is not a function');
  assert.equal(error.cause, cause);
  assert.equal(FarmError.from(cause, 'encode_failed').code, 'encode_failed');
});

test('anything that can be thrown becomes an error', () => {
  for (const thrown of ['text', 7, null, undefined, { code: 'ENOENT' }]) {
    const error = FarmError.from(thrown);
    assert.equal(error.code, 'internal');
    assert.equal(error.message, String(thrown));
    assert.equal(error.cause, thrown);
  }
});

test('the table of docs/http-api.md is the catalogue', () => {
  const page = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8');
  const rows = page.split('## Error codes')[1]?.match(/^\| `.*$/gm) ?? [];
  const expected = CODES.map((code) => {
    const { httpStatus, grpcStatus, retryable, remedy } = ERROR_CATALOGUE[code];
    return `| \`${code}\` | ${httpStatus} | ${grpcStatuses[grpcStatus]} | ${retryable ? 'yes' : 'no'} | ${remedy} |`;
  });
  assert.deepEqual(rows.sort(), expected.sort());
});
