import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { ERROR_CATALOGUE, type ErrorCode } from '../../shared/errors/catalogue.ts';
import { errorBodySchema } from '../../shared/views/render-view.ts';
import { startApi } from '../support/api.ts';
import { until } from '../support/until.ts';

const { app, artifacts, renderIn } = await startApi({ limits: { max_upload_mb: 1 } });
await app.listen({ host: '127.0.0.1', port: 0 });
const { port } = app.server.address() as AddressInfo;

interface Answer {
  readonly status: number;
  readonly headers: string;
  readonly code: ErrorCode | undefined;
  readonly message: string;
}

/** Sends bytes as they are, and reads what comes back until the connection is closed. */
async function send(...bytes: (string | Buffer)[]): Promise<Answer> {
  const socket = connect(port, '127.0.0.1');
  for (const part of bytes) socket.write(part);
  const answer = (await buffer(socket)).toString('latin1').replace('HTTP/1.1 100 Continue\r\n\r\n', '');
  const [headers = '', ...rest] = answer.split('\r\n\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(headers)?.[1]);
  const body = rest.join('\r\n\r\n');
  if (status < 400 || body === '') return { status, headers, code: undefined, message: '' };
  const { error } = errorBodySchema.parse(JSON.parse(Buffer.from(body, 'latin1').toString()));
  assert.equal(ERROR_CATALOGUE[error.code].httpStatus, status, `${error.code} with status ${status}`);
  return { status, headers, code: error.code, message: error.message };
}

function request(line: string, headers: readonly string[] = [], body: string | Buffer = ''): (string | Buffer)[] {
  const length = body.length > 0 ? [`Content-Length: ${body.length}`] : [];
  return [
    [`${line} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...headers, ...length, '', ''].join('\r\n'),
    body,
  ];
}

const FORM = 'Content-Type: multipart/form-data; boundary=x';
const field = (name: string, value: string) =>
  `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const file = (name: string, value: string) =>
  `--x\r\nContent-Disposition: form-data; name="${name}"; filename="a.wav"\r\n\r\n${value}\r\n`;
const form = (...parts: string[]) => request('POST /v1/renders', [FORM], `${parts.join('')}--x--\r\n`);
const many = (count: number, part: (index: number) => string) => Array.from({ length: count }, (_, i) => part(i));

describe('a request that is wrong is answered with what is wrong', () => {
  const cases: [name: string, bytes: (string | Buffer)[], code: ErrorCode, message: RegExp][] = [
    ['an unknown address', request('GET /v2/renders'), 'not_found', /nothing at \/v2\/renders$/],
    ['a wrong method', request('PUT /v1/renders'), 'method_not_allowed', /takes GET, HEAD, POST, not PUT/],
    ['a method of no route', request('OPTIONS /v1/gpus'), 'method_not_allowed', /takes GET, HEAD, not OPTIONS/],
    ['a file the dashboard has not', request('GET /dashboard/static/none.js'), 'not_found', /nothing at .*none\.js$/],
    ['a broken escape', request('GET /v1/renders/%zz'), 'request_invalid', /%zz/],
    [
      'an endless part',
      request(`GET /v1/renders/${'r'.repeat(2000)}`),
      'request_invalid',
      /path: id: got "r{79}…; not a render id/,
    ],
    [
      'a parameter twice',
      request('GET /v1/renders?limit=5&limit=6'),
      'request_invalid',
      /limit: got \["5","6"\]; expected text, not a list$/,
    ],
    [
      'a status that is none',
      request('GET /v1/renders?status=done'),
      'request_invalid',
      /status: got "done"; expected queued, preparing, .* failed or cancelled$/,
    ],
    ['an unknown parameter', request('GET /v1/renders?limt=5'), 'request_invalid', /"limt" \(did you mean "limit"\?\)/],
    ['a parameter too many', request('GET /v1/gpus?limit=5'), 'request_invalid', /"limit" \(there is none\)/],
    [
      'a number in hex',
      request('GET /v1/renders?limit=0x10'),
      'request_invalid',
      /limit: got "[^"]*"; expected a whole number/,
    ],
    [
      'an empty number',
      request('GET /v1/renders?limit='),
      'request_invalid',
      /limit: got "[^"]*"; expected a whole number/,
    ],
    [
      'a frame in hex',
      request('GET /v1/renders/r0-00/frames/0x1'),
      'request_invalid',
      /index: got "[^"]+"; expected a whole/,
    ],
    [
      'a frame in thousands',
      request('GET /v1/renders/r0-00/frames/1e2'),
      'request_invalid',
      /index: got "[^"]+"; expected a whole/,
    ],
    [
      'a frame with a sign',
      request('GET /v1/renders/r0-00/frames/+1'),
      'request_invalid',
      /index: got "[^"]+"; expected a whole/,
    ],
    [
      'broken JSON',
      request('POST /v1/models/a/load', ['Content-Type: application/json'], '{"gpu":'),
      'request_invalid',
      /JSON/,
    ],
    ['no JSON', request('POST /v1/models/a/load', ['Content-Type: application/json']), 'request_invalid', /empty/],
    [
      'wrong JSON',
      request('POST /v1/models/a/load', ['Content-Type: application/json'], '{"gpus":1}'),
      'request_invalid',
      /unknown field "gpus" \(did you mean "gpu"/,
    ],
    [
      'a list as JSON',
      request('POST /v1/models/a/load', ['Content-Type: application/json'], '[]'),
      'request_invalid',
      /Wrong body: expected names with values, not a list$/,
    ],
    [
      'text for JSON',
      request('POST /v1/models/a/load', ['Content-Type: text/plain'], 'x'),
      'content_type_unsupported',
      /text\/plain/,
    ],
    [
      'another type',
      request('POST /v1/models/a/load', ['Content-Type: text/xml'], '<a/>'),
      'content_type_unsupported',
      /text\/xml/,
    ],
    [
      'too much JSON',
      request('POST /v1/models/a/load', ['Content-Type: application/json'], ' '.repeat(2 ** 21)),
      'body_too_large',
      /large/,
    ],
    ['endless headers', request('GET /healthz', [`X: ${'x'.repeat(20_000)}`]), 'headers_too_large', /16 KB/],
    ['no HTTP', ['hello there\r\n\r\n'], 'request_invalid', /Not HTTP/],
    ['HTTP/2', ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'], 'request_invalid', /Not HTTP/],
    ['two hosts', request('GET /v1/renders', ['Host: evil.test']), 'request_invalid', /more than one Host/],
    ['another host in the address', request('GET http://evil.test/v1/renders'), 'request_invalid', /another host/],
    ['no host', ['GET /v1/renders HTTP/1.1\r\nConnection: close\r\n\r\n'], 'request_invalid', /Host/],
    [
      'an upload without a form',
      request('POST /v1/renders', ['Content-Type: text/plain'], 'hello'),
      'upload_missing',
      /text\/plain/,
    ],
    [
      'an upload of another type',
      request('POST /v1/renders', ['Content-Type: audio/wav'], 'RIFF'),
      'upload_missing',
      /audio\/wav/,
    ],
    ['an upload without a type', request('POST /v1/renders'), 'upload_missing', /no content type/],
    [
      'a form without boundary',
      request('POST /v1/renders', ['Content-Type: multipart/form-data'], 'hello'),
      'request_invalid',
      /[Bb]oundary/,
    ],
    [
      'a form without end',
      request('POST /v1/renders', [FORM], file('audio', 'sound')),
      'request_invalid',
      /Unexpected end/,
    ],
    ['a form of nothing', request('POST /v1/renders', [FORM], '--x--\r\n'), 'upload_missing', /no file field "audio"/],
    [
      'a form with another boundary',
      request('POST /v1/renders', [FORM], '--y\r\n\r\n\r\n--y--\r\n'),
      'request_invalid',
      /form/,
    ],
    ['a form without a file', form(field('model_id', 'demo')), 'upload_missing', /no file field "audio"/],
    [
      'a form with a file in no field',
      form('--x\r\nContent-Disposition: form-data; filename="a.wav"\r\n\r\nabc\r\n'),
      'upload_missing',
      /"audio", not ""$/,
    ],
    [
      'an endless key',
      request('POST /v1/renders', [FORM, `Idempotency-Key: ${'k'.repeat(300)}`], `${file('audio', 'abc')}--x--\r\n`),
      'request_invalid',
      /idempotency-key: got "k+…; expected at most 255 characters$/,
    ],
    ['a form with the file elsewhere', form(file('sound', 'abc')), 'upload_missing', /not "sound"/],
    [
      'a form with two files',
      form(file('audio', 'abc'), file('audio', 'abc')),
      'request_invalid',
      /audio: given twice/,
    ],
    [
      'a form with four files',
      form(file('video', 'a'), file('rects', 'b'), file('audio', 'c'), file('landmarks', 'd')),
      'request_invalid',
      /more files than it may have/,
    ],
    [
      'a video without landmarks',
      form(file('video', 'a'), file('audio', 'c')),
      'landmarks_missing',
      /where the mouth is/,
    ],
    ['a video without a sound', form(file('video', 'a'), file('rects', 'b')), 'upload_missing', /"audio"/],
    [
      'rects and landmarks',
      form(file('video', 'a'), file('rects', 'b'), file('landmarks', 'd')),
      'request_invalid',
      /one of them/,
    ],
    ['rects without a video', form(file('rects', 'b'), file('audio', 'c')), 'request_invalid', /rects: .*"video"/],
    [
      'a walk over a video',
      form(field('background_mode', 'loop'), file('video', 'a'), file('rects', 'b'), file('audio', 'c')),
      'request_invalid',
      /background_mode: .*sync_mode/,
    ],
    [
      'a sync mode without a video',
      form(field('sync_mode', 'loop'), file('audio', 'c')),
      'request_invalid',
      /sync_mode: .*"video"/,
    ],
    [
      'a form with many fields',
      form(...many(40, (i) => field(`f${i}`, '1')), file('audio', 'abc')),
      'request_invalid',
      /more than 16/,
    ],
    [
      'a form with an unknown field',
      form(field('modle_id', 'demo'), file('audio', 'a')),
      'request_invalid',
      /did you mean "model_id"\?/,
    ],
    [
      'a field given twice',
      form(field('output', 'mp4'), field('output', 'frames'), file('audio', 'a')),
      'request_invalid',
      /output: given twice/,
    ],
    [
      'a field that is too long',
      form(field('model_id', 'm'.repeat(5000)), file('audio', 'a')),
      'request_invalid',
      /longer than 4096 bytes/,
    ],
    [
      'a field in hex',
      form(field('start_frame', '0x10'), file('audio', 'a')),
      'request_invalid',
      /start_frame: got "0x10"; expected a whole number in digits/,
    ],
    ['a prototype for a field', form(field('__proto__', 'x'), file('audio', 'a')), 'request_invalid', /prototype/],
    ['an empty file', form(file('audio', '')), 'audio_empty', /0 bytes/],
    ['a file that is too large', form(file('audio', 'x'.repeat(2 ** 20 + 1))), 'upload_too_large', /larger than 1 MB/],
    [
      'an empty idempotency key',
      request('POST /v1/renders', [FORM, 'Idempotency-Key:'], '--x--\r\n'),
      'request_invalid',
      /idempotency-key/,
    ],
  ];
  for (const [name, bytes, code, message] of cases) {
    it(name, async () => {
      const answer = await send(...bytes);
      assert.equal(answer.code, code, answer.message);
      assert.match(answer.message, message);
      if (code === 'method_not_allowed') assert.match(answer.headers, /^allow: GET, HEAD/m);
    });
  }

  it('HEAD too, without a body', async () => {
    assert.equal((await send(...request('HEAD /v2/renders'))).status, 404);
  });
});

it('a client that leaves in the middle of its upload leaves nothing behind, and no fault in the log', async () => {
  const faults: unknown[] = [];
  app.log.error = (fault: unknown) => void faults.push(fault);
  const answered = Promise.withResolvers<void>();
  app.server.once('request', (_, response) => response.once('close', answered.resolve));
  const socket = connect(port, '127.0.0.1');
  const [head = ''] = request('POST /v1/renders', [FORM, 'Content-Length: 100000']);
  socket.write(head);
  socket.write(file('audio', 'x'.repeat(50_000)));
  const folder = artifacts.localPath('renders');
  await until('the upload has begun', async () => (await readdir(folder).catch(() => [])).length > 0);
  socket.destroy();
  await answered.promise;
  await until('its folder is gone', async () => (await readdir(folder)).length === 0);
  assert.deepEqual(faults, []);
});

it('no request makes a fault of the farm', async () => {
  const id = await renderIn('queued');
  const random = seeded(17);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const paths = ['/', '/v1', '/v1/renders', `/v1/renders/${id}`, '/v1/renders/', '//', '/v1/gpus', '/v1/gpus/0/drain'];
  const more = [
    `/v1/renders/${id}/video`,
    `/v1/renders/${id}/frames/1`,
    '/v1/models/nobody/load',
    '/openapi.json',
    '*',
  ];
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'TRACE', 'get', 'G€T'];
  const tails = [
    '',
    '?',
    '?limit=1',
    '?limit=-1',
    '?before=x',
    '?a[b]=c',
    '%00',
    '/../..',
    '?%',
    '#x',
    '?limit=1&limit=2',
    '\u0000',
  ];
  const headers = [
    ...['Content-Type: application/json', FORM, 'Content-Type: x', 'Content-Type:', 'Transfer-Encoding: chunked'],
    ...[
      'Range: bytes=0-',
      'If-None-Match: *',
      'Expect: 100-continue',
      'Expect: cake',
      'Upgrade: h2c',
      'Content-Length: 3',
    ],
    ...['Authorization: Basic ====', 'Idempotency-Key: \u00ff', 'Accept-Encoding: br', 'X y: z', ': z', 'Host: there'],
  ];
  const bodies = [
    '',
    '{}',
    'null',
    '[1',
    '--x--\r\n',
    file('audio', 'x'),
    '0\r\n\r\n',
    '5\r\nabc',
    'x'.repeat(3000),
    '\u0000\u0001',
  ];
  for (let round = 0; round < 400; round++) {
    const line = `${pick(methods)} ${pick([...paths, ...more])}${pick(tails)}`;
    const body = pick(bodies);
    const usable = headers.filter((header) => body !== '' || !/^Content-Length|^Transfer/.test(header));
    const chosen = Array.from({ length: Math.floor(random() * 4) }, () => pick(usable));
    const bytes = request(line, chosen, body).map((part) => Buffer.from(part.toString(), 'latin1'));
    const { status } = await send(...bytes);
    assert.ok(status >= 200 && status < 500, `round ${round}: ${status} to ${JSON.stringify(bytes.join(''))}`);
  }
});

/** Numbers in [0, 1), always the same. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

it('what the dashboard refuses by itself has the form of all errors, and the key that its pages read', async () => {
  const cases = [
    ['/dashboard/api/queues/none/1', 'not_found', 404],
    ['/dashboard/api/queues?page=null', 'request_invalid', 400],
    ['/dashboard/api/queues?activeQueue=media&status=%00', 'request_invalid', 400],
    ['/dashboard/api/queues?status=%00', 'request_invalid', 400],
  ] as const;
  for (const [url, code, status] of cases) {
    const answer = await app.inject(url);
    const { error } = errorBodySchema.parse(answer.json());
    assert.deepEqual([error.code, answer.statusCode], [code, status], url);
  }
  const { error } = (await app.inject('/dashboard/api/queues/none/1')).json<{ error: { key: string } }>();
  assert.equal(error.key, 'ERRORS.QUEUE_NOT_FOUND');
});
