import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { buildApp } from '../../api/app.ts';
import { openServices } from '../../api/services.ts';
import { hashApiKey } from '../../shared/api-keys.ts';
import { createLogger } from '../../shared/process/log.ts';
import { startApi } from '../support/api.ts';

/** How a browser signs in to the dashboard with an API key. Headers as a browser sends them. */

const OPERATOR = 'an-operator-key-of-this-test';
const STUDIO = 'a-studio-key-of-this-test';
const TEMPORARY = 'a-key-that-will-be-removed';
const { app, services } = await startApi({
  http: { trusted_proxies: ['127.0.0.1'] },
  auth: {
    keys: [
      { name: 'operator', sha256: hashApiKey(OPERATOR), role: 'operate' },
      { name: 'studio', sha256: hashApiKey(STUDIO), role: 'render' },
      { name: 'temporary', sha256: hashApiKey(TEMPORARY), role: 'operate' },
    ],
  },
});
const { config, redis } = services;
const log = createLogger('api', { ...config.logging, level: 'silent' });
const otherServices = openServices({ config, redis, log });
/** A second front end of the same farm. */
const other = await buildApp(otherServices, log);
after(async () => {
  await other.close();
  await otherServices.close();
});

const PAGE = { accept: 'text/html,application/xhtml+xml' };
const FORM = {
  ...PAGE,
  'content-type': 'application/x-www-form-urlencoded',
  origin: 'http://localhost',
  'sec-fetch-site': 'same-origin',
};

const signIn = (key: string, headers = {}, remoteAddress = '127.0.0.1', to?: string) =>
  app.inject({
    ...{ method: 'POST', url: '/dashboard/sign-in', headers: { ...FORM, ...headers } },
    payload: new URLSearchParams({ key, ...(to === undefined ? {} : { to }) }).toString(),
    remoteAddress,
  });

async function signedIn(key: string): Promise<{ cookie: string }> {
  const answer = await signIn(key);
  assert.deepEqual([answer.statusCode, answer.headers.location], [303, '/']);
  return { cookie: String(answer.headers['set-cookie']).split(';')[0] ?? '' };
}

const statusOf = async (url: string, headers: object, at = app) =>
  (await at.inject({ url, headers: { ...headers } })).statusCode;

describe('signing in to the dashboard', () => {
  it('is where a browser without a session is sent, and programs are told what is missing', async () => {
    const page = await app.inject({ url: '/dashboard?page=2', headers: PAGE });
    const to = encodeURIComponent('/dashboard?page=2');
    assert.deepEqual([page.statusCode, page.headers.location], [303, `/dashboard/sign-in?to=${to}`]);
    const call = await app.inject({ url: '/dashboard/api/queues', headers: { accept: 'application/json' } });
    assert.deepEqual([call.statusCode, call.json().error.code], [401, 'unauthorised']);
    assert.match(String(call.headers['www-authenticate']), /^Bearer /, 'no browser asks for a password by itself');
    const form = await app.inject({ url: String(page.headers.location), headers: PAGE });
    assert.match(form.payload, /name="to" value="\/dashboard\?page=2"/);
    assert.equal(form.statusCode, 200);
    assert.match(form.payload, /<input id="key" name="key" type="password"/);
    assert.match(String(form.headers['content-security-policy']), /default-src 'none'.*form-action 'self'/);
    assert.equal(form.headers['cache-control'], 'no-store');
  });

  it('gives a cookie that is good for nothing else', async () => {
    const answer = await signIn(OPERATOR);
    const cookie = String(answer.headers['set-cookie']);
    assert.match(cookie, /^lipsync_session=[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/);
    const session = await signedIn(OPERATOR);
    for (const url of ['/dashboard', '/dashboard/api/queues', '/v1/gpus']) {
      assert.equal(await statusOf(url, session), 200, url);
      assert.equal(await statusOf(url, session, other), 200, `${url} at another front end`);
    }
    const page = await app.inject({ url: '/dashboard/sign-in', headers: session });
    assert.match(page.payload, /Signed in with the key “operator”/);
  });

  it('takes a key that may only render, for the studio', async () => {
    const session = await signedIn(STUDIO);
    const who = await app.inject({ url: '/v1/session', headers: session });
    assert.deepEqual(who.json(), { key: 'studio', role: 'render', signed_in: true });
    for (const url of ['/v1/renders', '/v1/models']) assert.equal(await statusOf(url, session), 200, url);
    for (const url of ['/v1/gpus', '/dashboard']) assert.equal(await statusOf(url, session), 403, url);
    assert.equal(await statusOf('/', PAGE), 200, 'the page itself, before anybody has signed in');
  });

  it('goes back to where the browser came from, and never to another host', async () => {
    const targetOf = async (to: string) => (await signIn(OPERATOR, {}, '127.0.0.1', to)).headers.location;
    for (const to of ['/', '/#/renders/r1', '/dashboard?page=2']) assert.equal(await targetOf(to), to);
    for (const to of [
      '//evil.test',
      '/\\evil.test',
      '/\t/evil.test',
      'https://evil.test/',
      'javascript:1',
      '/.//evil.test',
    ])
      assert.equal(await targetOf(to), '/', to);
  });

  it('refuses wrong keys', async () => {
    for (const [key, status, text] of [
      ['', 401, /carries no API key/],
      ['<script>', 401, /no valid API key/],
    ] as const) {
      const answer = await signIn(key);
      assert.equal(answer.statusCode, status);
      assert.match(answer.payload, text);
      assert.equal(answer.headers['set-cookie'], undefined);
    }
  });

  it('is braked for who tries one key after the other', async () => {
    let status = 0;
    for (let tries = 0; tries < 25 && status !== 429; tries++)
      status = (await signIn(`guess-${tries}`, {}, '10.0.0.1')).statusCode;
    assert.equal(status, 429);
    const answer = await signIn('guess-again', {}, '10.0.0.1');
    assert.match(answer.payload, /Too many wrong API keys/);
    assert.ok(Number(answer.headers['retry-after']) > 0);
  });

  it('cannot be done for a user by a page of another origin', async () => {
    const answer = await signIn(OPERATOR, { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' });
    assert.equal(answer.statusCode, 403);
    assert.equal(answer.headers['set-cookie'], undefined);
  });

  it('over TLS gives a cookie that is never sent without', async () => {
    const cookie = (await signIn(OPERATOR, { 'x-forwarded-proto': 'https', host: 'localhost' })).headers['set-cookie'];
    assert.match(String(cookie), /^__Host-lipsync_session=[\w-]{43}; Path=\/; .*; Secure$/);
  });
});

describe('a session', () => {
  it('ends when the browser signs out', async () => {
    const session = await signedIn(OPERATOR);
    const out = await app.inject({ method: 'POST', url: '/dashboard/sign-out', headers: { ...FORM, ...session } });
    assert.deepEqual([out.statusCode, out.headers.location], [303, '/dashboard/sign-in']);
    assert.match(String(out.headers['set-cookie']), /=; Path=\/; Max-Age=0;/);
    for (const at of [app, other]) assert.equal(await statusOf('/dashboard/api/queues', session, at), 401);
  });

  it('ends when its key is removed, and when another one has its name', async () => {
    const session = await signedIn(TEMPORARY);
    const keys = [...config.auth.keys];
    const put = (now: typeof keys) => {
      Object.assign(config.auth, { keys: now });
      for (const { access } of [services, otherServices]) access.reload();
    };
    const replaced = keys.map((key) => (key.name === 'temporary' ? { ...key, sha256: hashApiKey('another') } : key));
    for (const now of [keys.filter(({ name }) => name !== 'temporary'), replaced]) {
      put(now);
      for (const at of [app, other]) assert.equal(await statusOf('/dashboard/api/queues', session, at), 401);
    }
    put(keys);
    assert.equal(await statusOf('/dashboard/api/queues', session), 200);
  });

  it('is nothing that can be made up, or read in Redis', async () => {
    const { cookie } = await signedIn(OPERATOR);
    const [name, token = ''] = cookie.split('=');
    for (const wrong of ['', 'x', token.slice(1), 'A'.repeat(43), hashApiKey(OPERATOR), `${token}x`]) {
      assert.equal(await statusOf('/dashboard/api/queues', { cookie: `${name}=${wrong}` }), 401, wrong);
    }
    const kept = await redis.keys('{farm}:session:*');
    assert.ok(kept.length > 0);
    const values = await redis.mget(kept);
    for (const text of [...kept, ...values]) {
      for (const secret of [token, OPERATOR, hashApiKey(OPERATOR)]) assert.ok(!text?.includes(secret));
    }
    for (const key of kept) assert.ok((await redis.ttl(key)) > 43_000);
  });
});

describe('the studio', () => {
  it('has every module that its page loads', async () => {
    const seen = new Set(['/studio/main.ts']);
    for (const url of seen) {
      const { statusCode, body } = await app.inject(url);
      assert.equal(statusCode, 200, url);
      for (const [, specifier = ''] of body.matchAll(/^import .*?from '(\.[^']+)';/gms)) {
        seen.add(new URL(specifier, `http://farm${url}`).pathname);
      }
    }
    assert.ok(seen.size > 20, `${seen.size} modules`);
  });
});
