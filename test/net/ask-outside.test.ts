import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { PUBLIC_ONLY } from '../../shared/net/address-rules.ts';
import { askOutside, type OutsideRequest, readBounded } from '../../shared/net/ask-outside.ts';
import type { LookupAll } from '../../shared/net/checked-lookup.ts';

const LOOPBACK = { allowPrivate: false, allowed: ['127.0.0.1'] };

async function serve(listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A name server that answers with one list of addresses after the other. */
function answering(...answers: string[][]): LookupAll & { asked: number } {
  const resolve = (_host: string, _options: object, done: Parameters<LookupAll>[2]) => {
    const addresses = answers[Math.min(resolve.asked++, answers.length - 1)] ?? [];
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  resolve.asked = 0;
  return resolve;
}

async function get(url: string, more: Partial<OutsideRequest> = {}): Promise<{ status: number; text: string }> {
  const answer = await askOutside({ url, method: 'GET', rules: LOOPBACK, timeoutMs: 5000, ...more });
  return { status: answer.status, text: String(await readBounded(answer.body, 1000, 5000)) };
}

const refused = (code: string) => (error: unknown) => error instanceof FarmError && error.code === code;

test('asks the address that was checked: a name is resolved once, and its address connected to', async () => {
  let asked = 0;
  const port = await serve((_request, response) => {
    asked++;
    response.end('here');
  });
  // The second answer is what a name server would say that wants to lead elsewhere after the check.
  const resolve = answering(['127.0.0.1'], ['127.9.9.9']);
  assert.deepEqual(await get(`http://hook.test:${port}/`, { resolve }), { status: 200, text: 'here' });
  assert.equal(resolve.asked, 1);
  await assert.rejects(get(`http://hook.test:${port}/`, { resolve }), refused('address_refused'));
  assert.equal(asked, 1);
});

test('a name is refused when one of its addresses is, and whatever way an address is written', async () => {
  const port = await serve((_request, response) => response.end());
  const mixed = answering(['93.184.216.34', '127.0.0.1']);
  await assert.rejects(
    get(`http://mixed.test:${port}/`, { resolve: mixed, rules: PUBLIC_ONLY }),
    refused('address_refused'),
  );
  for (const host of [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    'localhost',
  ])
    await assert.rejects(get(`http://${host}:${port}/`, { rules: PUBLIC_ONLY }), refused('address_refused'), host);
});

test('only http and https without a login in the address', async () => {
  for (const url of [
    'file:///etc/passwd',
    'ftp://a.test/',
    'gopher://a.test/',
    'not an address',
    'http://user:word@a.test/',
    `http://a.test/${'x'.repeat(3000)}`,
  ])
    await assert.rejects(get(url), refused('request_invalid'), url);
});

test('redirects are given back unless they are wanted, and then checked like the first address', async () => {
  const port = await serve(({ url }, response) => {
    const to = { '/in': `http://[::1]:${port}/`, '/ok': '/end', '/round': '/round' }[url ?? ''];
    response.writeHead(to ? 302 : 200, to ? { location: to } : {}).end('the end');
  });
  const at = (path: string) => `http://127.0.0.1:${port}${path}`;
  assert.equal((await get(at('/in'))).status, 302);
  assert.equal((await get(at('/ok'), { method: 'POST', maxRedirects: 5 })).status, 302);
  assert.deepEqual(await get(at('/ok'), { maxRedirects: 5 }), { status: 200, text: 'the end' });
  await assert.rejects(get(at('/in'), { maxRedirects: 5 }), refused('address_refused'));
  await assert.rejects(get(at('/round'), { maxRedirects: 3 }), refused('remote_failed'));
});

test('gives up without an answer in time, and reads no more of one than it was told to', async () => {
  const silent = await serve(() => undefined);
  await assert.rejects(get(`http://127.0.0.1:${silent}/`, { timeoutMs: 50 }), refused('remote_failed'));
  const endless = await serve((_request, response) => {
    const pour = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536, 'x')));
    };
    response.on('drain', pour);
    pour();
  });
  assert.equal((await get(`http://127.0.0.1:${endless}/`)).text.length, 1000);
  const slow = await serve((_request, response) => void response.write('a'));
  const { body } = await askOutside({
    url: `http://127.0.0.1:${slow}/`,
    method: 'GET',
    rules: LOOPBACK,
    timeoutMs: 5000,
  });
  await assert.rejects(readBounded(body, 1000, 50), refused('remote_failed'));
  const stop = AbortSignal.timeout(50);
  await assert.rejects(get(`http://127.0.0.1:${silent}/`, { signal: stop }), (error) => error === stop.reason);
});
