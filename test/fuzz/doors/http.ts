import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { ERROR_CATALOGUE, type ErrorCode } from '../../../shared/errors/catalogue.ts';
import { errorBodySchema } from '../../../shared/views/render-view.ts';
import { mutateBytes, mutateValue, nastyNumber, nastyText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { show } from './refusals.ts';

/** The HTTP server, byte by byte over a socket: the request line, paths, queries, headers, forms and JSON. */

/** What a farm without workers may say of itself with a 5xx: all other faults are those of the request. */
const MAY_BE_5XX: readonly ErrorCode[] = ['storage_full', 'resources_exhausted'];
const METHODS = ['GET', 'GET', 'GET', 'HEAD', 'POST', 'POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS', 'TRACE', 'QUERY'];
const QUERY_NAMES = ['limit', 'status', 'model', 'cursor', 'page', 'activeQueue', 'jobsPerPage', 'format', 'wait'];

export interface HttpDoor {
  readonly port: number;
  /** Of the API's description: `/v1/renders/{id}`. */
  readonly paths: readonly string[];
  /** Renders that there are, in several states. */
  readonly renderIds: readonly string[];
}

/** Any route, with anything in any place. */
export function httpDoor(door: HttpDoor) {
  return async (random: Random) => {
    const target = targetOf(random, door);
    const body = bodyOf(random);
    const lines = [
      `${random.pick(METHODS)} ${target} HTTP/1.1`,
      'Host: localhost',
      ...headersOf(random),
      ...body.headers,
    ];
    const head = Buffer.from([...lines, 'Connection: close', '', ''].join('\r\n'), 'latin1');
    const whole = Buffer.concat([head, body.bytes]);
    await check(door.port, random.chance(0.2) ? mutateBytes(random, whole) : whole);
  };
}

/** The form that makes a render. */
export function multipartDoor(door: HttpDoor) {
  return async (random: Random) => {
    const { bytes, headers } = formOf(random);
    const lines = ['POST /v1/renders HTTP/1.1', 'Host: localhost', ...headers, ...some(random, 'Idempotency-Key')];
    const head = Buffer.from([...lines, 'Connection: close', '', ''].join('\r\n'), 'latin1');
    await check(door.port, Buffer.concat([head, bytes]));
  };
}

/** Bull Board's pages and its API. */
export function dashboardDoor(door: HttpDoor) {
  const pages = [
    '',
    '/',
    '/api/queues',
    '/api/queues/media',
    '/api/queues/gpu-0/1',
    '/api/queues/media/1/logs',
    '/static/x',
  ];
  const verbs = ['retry', 'clean', 'promote', 'pause', 'resume', 'empty', 'add', 'update-data', 'obliterate'];
  return async (random: Random) => {
    const page = random.chance(0.5) ? random.pick(pages) : `/api/queues/${encoded(random)}/${encoded(random)}`;
    const target = `/dashboard${page}${random.chance(0.3) ? `/${random.pick(verbs)}` : ''}${queryOf(random)}`;
    const body = bodyOf(random);
    const lines = [`${random.pick(METHODS)} ${target} HTTP/1.1`, 'Host: localhost', ...body.headers];
    await check(
      door.port,
      Buffer.from([...lines, 'Connection: close', '', body.bytes.toString('latin1')].join('\r\n'), 'latin1'),
    );
  };
}

function targetOf(random: Random, { paths, renderIds }: HttpDoor): string {
  const path = random.pick([...paths, ...paths, '/', '/dashboard', '/openapi.json', '/healthz', '/readyz', '/nowhere']);
  const filled = path.replace(/\{\w+\}/g, () => {
    if (random.chance(0.5)) return random.pick(renderIds);
    return random.chance(0.5) ? encodeURIComponent(String(nastyNumber(random))) : encoded(random);
  });
  return `${random.chance(0.05) ? `http://${nasty(random)}` : ''}${filled}${queryOf(random)}`;
}

function queryOf(random: Random): string {
  const asked = random.some(QUERY_NAMES, 0.12).map((name) => `${name}=${encoded(random)}`);
  return asked.length === 0 ? '' : `?${asked.join('&')}${random.chance(0.1) ? `&${nasty(random)}` : ''}`;
}

function encoded(random: Random): string {
  return random.chance(0.7) ? encodeURIComponent(nastyText(random).toWellFormed()) : nasty(random);
}

/** Without what would end the line: the bytes are changed elsewhere. */
function nasty(random: Random): string {
  return nastyText(random).replace(/[\r\n\0 ]/g, '');
}

function some(random: Random, name: string): string[] {
  return random.chance(0.3) ? [`${name}: ${nasty(random)}`] : [];
}

function headersOf(random: Random): string[] {
  const ranges = [
    'bytes=0-',
    'bytes=5-2',
    'bytes=-0',
    'bytes=0-9,2-3',
    'bytes=99999999999999999999-',
    'lines=1-2',
    'bytes=',
  ];
  return [
    ...(random.chance(0.2) ? [`Range: ${random.pick(ranges)}`] : []),
    ...['Accept', 'If-None-Match', 'If-Range', 'If-Modified-Since', 'Authorization', 'Idempotency-Key', 'X-Request-Id'],
    ...['Origin', 'Sec-Fetch-Site', 'Cookie', 'X-Forwarded-For', 'Accept-Encoding', 'Expect', 'Upgrade', 'Host'],
  ].flatMap((name) => (name.includes(': ') ? [name] : random.chance(0.06) ? [`${name}: ${nasty(random)}`] : []));
}

interface Body {
  readonly bytes: Buffer;
  readonly headers: readonly string[];
}

function bodyOf(random: Random): Body {
  if (random.chance(0.4)) return { bytes: Buffer.alloc(0), headers: [] };
  if (random.chance(0.3)) return formOf(random);
  const json = JSON.stringify(mutateValue(random, { count: 1, ids: ['a'], at: { gpu: 0 } }, 0.3));
  const bytes = random.chance(0.3) ? mutateBytes(random, Buffer.from(json)) : Buffer.from(json);
  const type = random.chance(0.8) ? 'application/json' : nasty(random);
  return { bytes, headers: [`Content-Type: ${type}`, lengthOf(random, bytes)] };
}

function lengthOf(random: Random, bytes: Buffer): string {
  if (random.chance(0.95)) return `Content-Length: ${bytes.length}`;
  return random.pick([`Content-Length: ${nastyNumber(random)}`, 'Transfer-Encoding: chunked', 'Content-Length: 3']);
}

function formOf(random: Random): Body {
  const boundary = random.chance(0.95) ? 'x' : nasty(random);
  const fields = { model_id: 'demo', output: 'frames', start_frame: '0', jpeg_quality: '80', fps: '25' };
  const parts = random.some(Object.entries(fields), 0.4).map(([name, value]) => {
    const given = random.chance(0.15) ? nasty(random) : name;
    return `--x\r\nContent-Disposition: form-data; name="${given}"\r\n\r\n${random.chance(0.3) ? nastyText(random) : value}\r\n`;
  });
  const files = random.chance(0.9) ? 1 : random.below(3);
  for (let file = 0; file < files; file++) {
    const name = random.chance(0.1) ? nasty(random) : 'a.wav';
    const field = random.chance(0.1) ? nasty(random) : 'audio';
    const sound = 'RIFF'.repeat(random.below(200));
    parts.push(`--x\r\nContent-Disposition: form-data; name="${field}"; filename="${name}"\r\n\r\n${sound}\r\n`);
  }
  const whole = Buffer.from(`${parts.join('')}--x--\r\n`);
  const bytes = random.chance(0.5) ? mutateBytes(random, whole) : whole;
  return { bytes, headers: [`Content-Type: multipart/form-data; boundary=${boundary}`, lengthOf(random, bytes)] };
}

/** Sends a request and looks at what comes back until the connection closes: more than one answer where it is cut so. */
async function check(port: number, request: Buffer): Promise<void> {
  let rest = await exchange(port, request);
  let isHead = request.subarray(0, 5).toString('latin1') === 'HEAD ';
  const whole = rest;
  while (rest !== '') {
    const interim = /^HTTP\/1\.1 1\d\d [\s\S]*?\r\n\r\n/.exec(rest)?.[0];
    const answer = interim ?? firstOf(rest, isHead);
    const fault = interim === undefined && faultOf(answer, isHead);
    if (fault) throw new Error(`${fault}\n  request: ${show(request)}\n  answer: ${show(whole)}`);
    rest = rest.slice(answer.length);
    if (interim === undefined) isHead = false;
  }
}

function firstOf(answers: string, isHead: boolean): string {
  const bodyAt = answers.indexOf('\r\n\r\n') + 4;
  const length = Number(/^content-length: (\d+)/im.exec(answers.slice(0, bodyAt))?.[1] ?? Number.NaN);
  // What cannot be parsed gets a body even for HEAD, and the connection ends.
  if (isHead && !answers.startsWith('{', bodyAt)) return answers.slice(0, bodyAt);
  return Number.isNaN(length) ? answers : answers.slice(0, bodyAt + length);
}

/** Ends its side when all is sent, so that the server waits for nothing. A connection that is reset has been answered. */
async function exchange(port: number, request: Buffer): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.end(request);
  try {
    return (await buffer(socket)).toString('latin1');
  } catch (error) {
    if (['ECONNRESET', 'EPIPE'].includes((error as NodeJS.ErrnoException).code ?? '')) return '';
    throw error;
  }
}

function faultOf(answer: string, isHead: boolean): string | undefined {
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
  if (!Number.isInteger(status)) return 'an answer without a status';
  const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
  if (status < 400 || (isHead && body === '')) return status >= 500 && status !== 503 ? `${status} to HEAD` : undefined;
  // What is ready is told in a form of its own, and so is its opposite.
  if (status === 503 && body.includes('"not ready"')) return undefined;
  const parsed = errorBodySchema.safeParse(jsonOf(body));
  if (!parsed.success) return `${status} with a body of another form`;
  const { code } = parsed.data.error;
  if (ERROR_CATALOGUE[code].httpStatus !== status) return `${code} with status ${status}`;
  return status >= 500 && !MAY_BE_5XX.includes(code) ? `${status} ${code}` : undefined;
}

function jsonOf(body: string): unknown {
  try {
    return JSON.parse(Buffer.from(body, 'latin1').toString());
  } catch {
    return undefined;
  }
}
