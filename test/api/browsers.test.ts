import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { before, describe, it } from 'node:test';
import type { InjectOptions } from 'fastify';
import { GpuDrains } from '../../shared/workers/gpu-drains.ts';
import { startApi } from '../support/api.ts';

/** What a browser may do here for the pages that are open in it. Headers as Chromium and Firefox send them. */

const PRODUCT = 'https://product.test';
const { app, services, store } = await startApi({
  http: { allowed_hosts: ['farm.test'], allowed_origins: [PRODUCT], trusted_proxies: ['127.0.0.1'] },
});
const drains = new GpuDrains(services.redis);
await app.listen({ host: '127.0.0.1', port: 0 });
const { port } = app.server.address() as AddressInfo;

type Headers = Readonly<Record<string, string>>;

async function send(method: string, url: string, headers: Headers = {}, rest: InjectOptions = {}) {
  return await app.inject({
    method: method as 'GET',
    url,
    headers: { host: `127.0.0.1:${port}`, ...headers },
    ...rest,
  });
}

async function codeOf(...request: Parameters<typeof send>): Promise<string> {
  const answer = await send(...request);
  return answer.statusCode < 400 ? 'passes' : answer.json().error.code;
}

const fetchMode = (site: string, mode = 'no-cors', dest = 'empty') => ({
  'sec-fetch-site': site,
  'sec-fetch-mode': mode,
  'sec-fetch-dest': dest,
});
const EVIL = { origin: 'https://evil.test' };
const OTHER_PAGES: Readonly<Record<string, Headers>> = {
  'a form': { ...EVIL, ...fetchMode('cross-site', 'navigate', 'document') },
  'a script': { ...EVIL, ...fetchMode('cross-site') },
  'a script that wants to read': { ...EVIL, ...fetchMode('cross-site', 'cors') },
  'an old browser': EVIL,
  'a sandboxed frame': { origin: 'null', ...fetchMode('cross-site') },
  'another server of this machine': { origin: 'http://127.0.0.1:3000', ...fetchMode('same-site') },
  'the same host by another scheme': { origin: `ftp://127.0.0.1:${port}` },
  'a picture': fetchMode('cross-site', 'no-cors', 'image'),
  'a picture on another server of this machine': fetchMode('same-site', 'no-cors', 'image'),
  'a frame': fetchMode('cross-site', 'navigate', 'iframe'),
  'a WebSocket': { ...EVIL, connection: 'Upgrade', upgrade: 'websocket', ...fetchMode('cross-site', 'websocket') },
};
const READS = [
  '/v1/renders',
  '/v1/gpus',
  '/v1/models',
  '/openapi.json',
  '/dashboard',
  '/dashboard/api/queues',
  '/',
  '/healthz',
];
const CHANGES = [
  ...['POST /v1/gpus/0/drain', 'POST /v1/models/demo/unload', 'DELETE /v1/renders/r0-00', 'POST /v1/renders'],
  ...['PUT /dashboard/api/queues/pause', 'POST /nothing/here', 'OPTIONS /v1/renders'],
];
const UPLOAD = {
  headers: { 'content-type': 'multipart/form-data; boundary=x' },
  payload: '--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\nsound\r\n--x--\r\n',
};

describe('pages of other origins', () => {
  for (const [what, headers] of Object.entries(OTHER_PAGES)) {
    it(`${what} can neither change nor show anything`, async () => {
      for (const url of READS) assert.equal(await codeOf('GET', url, headers), 'origin_refused', url);
      for (const request of CHANGES) {
        const [method = '', url = ''] = request.split(' ');
        assert.equal(await codeOf(method, url, headers), 'origin_refused', request);
      }
      const { payload } = UPLOAD;
      const form = { ...UPLOAD.headers, ...headers };
      assert.equal(await codeOf('POST', '/v1/renders', form, { payload }), 'origin_refused');
    });
  }

  it('have left the farm as it was', async () => {
    assert.deepEqual([...(await drains.all())], []);
    assert.deepEqual(await store.activeIds(), []);
  });

  it('may link to it', async () => {
    const link = fetchMode('cross-site', 'navigate', 'document');
    for (const url of ['/dashboard', '/v1/gpus']) assert.equal(await codeOf('GET', url, link), 'passes');
    assert.equal(await codeOf('POST', '/v1/gpus/0/drain', link), 'origin_refused');
  });
});

describe('the farm serves', () => {
  before(() => drains.give(0, 'drain'));
  const here = `http://127.0.0.1:${port}`;
  const OWN: Readonly<Record<string, Headers>> = {
    'what is no browser': {},
    'an address that was typed in': fetchMode('none', 'navigate', 'document'),
    'its own pages': { origin: here, ...fetchMode('same-origin', 'cors') },
    'its own pages in an old browser': { origin: here },
    'its own pages behind a proxy with another name': {
      origin: 'https://farm.test',
      ...fetchMode('same-origin', 'cors'),
    },
    'its own pages behind TLS': { host: 'farm.test', origin: 'https://farm.test' },
    'its own pages on localhost': { host: 'localhost:1234', origin: 'http://localhost:1234' },
    'a page that it knows': { origin: PRODUCT, ...fetchMode('cross-site', 'cors') },
  };
  for (const [what, headers] of Object.entries(OWN)) {
    it(what, async () => {
      assert.equal(await codeOf('GET', '/v1/gpus', headers), 'passes');
      assert.equal(await codeOf('POST', '/v1/gpus/0/drain', headers), 'passes');
    });
  }

  it('a page that it knows, which may read the answers, refusals too', async () => {
    const asked = {
      origin: PRODUCT,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization',
    };
    const preflight = await send('OPTIONS', '/v1/renders', { ...asked, ...fetchMode('cross-site', 'cors') });
    assert.equal(preflight.statusCode, 204);
    assert.equal(preflight.headers['access-control-allow-origin'], PRODUCT);
    assert.match(String(preflight.headers['access-control-allow-methods']), /POST/);
    assert.match(String(preflight.headers['access-control-allow-headers']), /authorization/);
    for (const url of ['/v1/gpus', '/v1/renders/r0-00']) {
      const answer = await send('GET', url, { origin: PRODUCT });
      assert.equal(answer.headers['access-control-allow-origin'], PRODUCT);
      assert.equal(answer.headers.vary, 'Origin');
      assert.equal(answer.headers['access-control-allow-credentials'], undefined);
    }
    const refused = await send('GET', '/v1/gpus', EVIL);
    assert.equal(refused.headers['access-control-allow-origin'], undefined);
  });

  it('requests to its own names only, so that no page can make a name of its own point here', async () => {
    const known = [
      '127.0.0.1',
      'localhost',
      'LocalHost:80',
      'localhost.:8080',
      '[::1]:8080',
      '127.9.9.9',
      'farm.test',
      'farm.test:99',
    ];
    for (const host of known) assert.equal(await codeOf('GET', '/v1/gpus', { host }), 'passes', host);
    const unknown = [
      'evil.test',
      '127.0.0.1.evil.test',
      'localhost.evil.test',
      'farm.test.evil.test',
      'evil.test:8080',
    ];
    const notNames = ['192.168.1.5:8080', '0.0.0.0:8080', '[::]', 'localhost@evil.test', 'evil.test/localhost', '[::1'];
    for (const host of [...unknown, ...notNames]) {
      for (const url of ['/v1/gpus', '/dashboard', '/healthz', '/nothing']) {
        const answer = await send('GET', url, { host, ...fetchMode('same-origin', 'cors') });
        assert.deepEqual([answer.statusCode, answer.json().error.code], [421, 'host_unknown'], `${host} ${url}`);
      }
    }
  });
});

describe('every answer tells a browser what it may not do', () => {
  const NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  const check = (headers: Readonly<Record<string, unknown>>, what: string, policy: string | RegExp = NOTHING) => {
    const { 'content-security-policy': given, ...others } = headers;
    if (typeof policy === 'string') assert.equal(given, policy, what);
    else assert.match(String(given), policy, what);
    assert.equal(others['x-content-type-options'], 'nosniff', what);
    assert.equal(others['referrer-policy'], 'same-origin', what);
    assert.equal(others['cross-origin-resource-policy'], 'same-origin', what);
    assert.equal(others['cross-origin-opener-policy'], 'same-origin', what);
  };

  it('answers and refusals of the API', async () => {
    for (const url of ['/', '/healthz', '/v1/gpus', '/v1/renders/r0-00', '/nothing', '/v1/gpus?colour=red', '/%zz']) {
      check((await send('GET', url)).headers, url);
    }
    check((await send('PATCH', '/v1/gpus')).headers, 'a wrong method');
    check((await send('GET', '/v1/gpus', EVIL)).headers, 'another origin');
    check((await send('GET', '/v1/gpus', { host: 'evil.test' })).headers, 'another host');
  });

  it('what is no HTTP', async () => {
    const socket = connect(port, '127.0.0.1').end('nonsense\r\n\r\n');
    const answer = String((await once(socket, 'data'))[0]);
    check(Object.fromEntries(answer.split('\r\n').map((line) => line.toLowerCase().split(': '))), answer);
  });

  it('pages of the dashboard, which load nothing from elsewhere and change nothing', async () => {
    const page = await send('GET', '/dashboard');
    const files = [...page.payload.matchAll(/(?:src|href)="(static\/[^"]+)"/g)].map(([, file]) => `/dashboard/${file}`);
    assert.ok(files.length >= 3);
    for (const url of ['/dashboard', ...files, '/dashboard/api/queues']) {
      const { statusCode, headers } = await send('GET', url);
      assert.equal(statusCode, 200, url);
      check(headers, url, /^default-src 'none'; base-uri 'self'; .*frame-ancestors 'none'; script-src 'self'; /);
      assert.doesNotMatch(String(headers['content-security-policy']), /https?:|\*/);
    }
    for (const request of [
      'PUT queues/pause',
      'PUT queues/media/pause',
      'POST queues/media/add',
      'PUT queues/media/0/retry',
    ]) {
      const [method = '', url] = request.split(' ');
      assert.equal(await codeOf(method, `/dashboard/api/${url}`), 'method_not_allowed', request);
    }
  });

  it('TLS for ever, when it came over TLS, as a proxy says that is believed', async () => {
    assert.equal(
      (await send('GET', '/', { 'x-forwarded-proto': 'https' })).headers['strict-transport-security'],
      'max-age=15552000',
    );
    assert.equal((await send('GET', '/')).headers['strict-transport-security'], undefined);
    const stranger = await send('GET', '/', { 'x-forwarded-proto': 'https' }, { remoteAddress: '10.0.0.1' });
    assert.equal(stranger.headers['strict-transport-security'], undefined);
  });
});
