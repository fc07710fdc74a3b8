import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { after, afterEach, describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import type { InjectOptions } from 'fastify';
import pino from 'pino';
import { METHOD_ROLES } from '../../api/grpc/auth.ts';
import {
  COMPOSITING_SERVICE,
  FARM_SERVICE,
  INFERENCE_SERVICE,
  MONOLITHIC_SERVICE,
  serviceOf,
} from '../../api/grpc/protos.ts';
import { startGrpc } from '../../api/grpc/server.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { hashApiKey, newApiKey } from '../../shared/api-keys.ts';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { savePreview } from '../../shared/renders/preview.ts';
import { FARM, failureOf, farmCode, MONOLITHIC, TestClient } from '../grpc/clients.ts';
import { startApi } from '../support/api.ts';

/** Keys of three roles and two owners, over HTTP and gRPC, on one front end without workers. */

const KEYS = { ann: newApiKey(), bob: newApiKey(), ops: newApiKey(), boss: newApiKey(), hasty: newApiKey() };
type Name = keyof typeof KEYS;
const entry = (name: Name, role: string, limits: object = {}) => ({
  ...{ name, sha256: hashApiKey(KEYS[name]), role },
  ...limits,
});
const ENTRIES = [
  entry('ann', 'render'),
  entry('bob', 'render', { max_unfinished_renders: 2 }),
  entry('ops', 'operate'),
  entry('boss', 'admin'),
  entry('hasty', 'render', { requests_per_minute: 3 }),
];
const PLAIN_KEY = 'a-plain-key';
const AUTH = { keys: ENTRIES, api_keys: [PLAIN_KEY] };
const { app, services, artifacts, store, warnings, reconfigure, renderIn } = await startApi({
  auth: AUTH,
  server: { port: `127.0.0.1:${await freePort()}` },
});
const grpcServer = await startGrpc(services, pino({ level: 'silent' }));
const grpc = new TestClient(grpcServer.address);
after(async () => {
  grpc.close();
  await grpcServer.drain(0);
});

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const ask = (name: Name, url: string, options: InjectOptions = {}) =>
  app.inject({ url, ...options, headers: { ...options.headers, ...bearer(KEYS[name]) } });
const codeOf = (answer: { json(): { error?: { code: string } } }) => answer.json().error?.code;
const as = (name: Name) => ({ key: KEYS[name] });

function submit(name: Name, { sound = 'sound', idempotencyKey }: { sound?: string; idempotencyKey?: string } = {}) {
  const part = (field: string, value: string, file = '') =>
    `--x\r\nContent-Disposition: form-data; name="${field}"${file}\r\n\r\n${value}\r\n`;
  return ask(name, '/v1/renders', {
    method: 'POST',
    headers: {
      'content-type': 'multipart/form-data; boundary=x',
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
    },
    payload: `${part('model_id', 'demo')}${part('audio', sound, '; filename="a.wav"')}--x--\r\n`,
  });
}

const upload = (sound: string, idempotency_key: string) => [
  { spec: { model_id: 'demo', output: 'FRAMES', file_name: 'a.wav', idempotency_key } },
  { audio: Buffer.from(sound) },
];

describe('roles', () => {
  it('lets each role do what it is for, over HTTP', async () => {
    const orders = ['/v1/gpus/7/drain', '/v1/gpus/7/resume', '/v1/models/nobody/unload'].map((url) => [url, 'POST']);
    const views = ['/v1/gpus', '/dashboard', '/dashboard/api/queues'].map((url) => [url, 'GET']);
    for (const [url = '', method] of [...orders, ...views]) {
      const options = { method } as InjectOptions;
      const refused = await ask('ann', url, options);
      assert.deepEqual([refused.statusCode, codeOf(refused)], [403, 'forbidden'], url);
      for (const name of ['ops', 'boss'] as const) {
        assert.ok(![401, 403].includes((await ask(name, url, options)).statusCode), `${name} ${url}`);
      }
    }
    for (const url of ['/', '/openapi.json', '/v1/models', '/v1/renders']) {
      assert.equal((await ask('ann', url)).statusCode, 200, url);
    }
    assert.equal(codeOf(await ask('ann', '/nothing/here')), 'not_found');
    const load = await ask('ann', '/v1/models/nobody/load', { method: 'POST' });
    assert.equal(codeOf(load), 'model_unknown');
    const plain = await app.inject({ url: '/v1/gpus', headers: bearer(PLAIN_KEY) });
    assert.equal(plain.statusCode, 200);
  });

  it('and over gRPC', async () => {
    const error = await failureOf(grpc.unary(MONOLITHIC, 'UnloadModel', { model_id: 'demo' }, as('ann')));
    assert.deepEqual([error.code, farmCode(error)], [status.PERMISSION_DENIED, 'forbidden']);
    assert.match(error.details, /"ann" has the role "render"; this needs "operate"/);
    await grpc.unary(MONOLITHIC, 'UnloadModel', { model_id: 'demo' }, as('ops'));
    await grpc.unary(MONOLITHIC, 'ListModels', {}, as('ann'));
  });

  it('knows the role of every method', () => {
    const services = [MONOLITHIC_SERVICE, COMPOSITING_SERVICE, INFERENCE_SERVICE, FARM_SERVICE] as const;
    const paths = services.flatMap((name) => Object.values(serviceOf(name)).map(({ path }) => path));
    assert.deepEqual(Object.keys(METHOD_ROLES).sort(), paths.sort());
  });
});

describe('owners', () => {
  it('sees renders, frames, videos, previews and receipts of its own key only; other roles see all', async () => {
    const [own, video, unowned] = [
      await renderIn('completed', { output: 'frames' }, 'ann'),
      await renderIn('completed', { output: 'mp4' }, 'ann'),
      await renderIn('completed', { output: 'frames' }),
    ];
    for (const id of [own, unowned]) {
      await artifacts.publish(artifactKeys.frame(id, 0), (path) => writeFile(path, 'picture'));
    }
    await artifacts.publish(artifactKeys.receipt(own), (path) => writeFile(path, '{}'));
    await artifacts.publish(artifactKeys.video(video), (path) => writeFile(path, 'video'));
    await savePreview(artifacts, own, { jpeg: Buffer.from('picture'), frameIndex: 0 });
    await artifacts.publish(artifactKeys.waveform(own), (path) => writeFile(path, '<svg/>'));
    const files = [
      `${own}`,
      `${own}/frames/0`,
      `${own}/preview`,
      `${own}/receipt`,
      `${own}/waveform`,
      `${video}/video`,
    ];
    for (const file of files) {
      const url = `/v1/renders/${file}`;
      for (const name of ['ann', 'ops', 'boss'] as const) assert.equal((await ask(name, url)).statusCode, 200, url);
      assert.equal(codeOf(await ask('bob', url)), 'render_unknown', url);
    }
    assert.equal(codeOf(await ask('bob', `/v1/renders/${video}/preview?as=mjpeg`)), 'render_unknown');
    assert.equal(codeOf(await ask('ann', `/v1/renders/${unowned}/frames/0`)), 'render_unknown');
    assert.equal((await ask('ops', `/v1/renders/${unowned}/frames/0`)).statusCode, 200);
    assert.equal((await ask('ops', `/v1/renders/${own}`)).json().owner, 'ann');
  });

  it('cannot cancel, retry or remove what belongs to another, by HTTP or gRPC', async () => {
    const [running, ended] = [await renderIn('rendering', {}, 'ann'), await renderIn('completed', {}, 'ann')];
    const failed = await renderIn('failed', {}, 'ann');
    await artifacts.publish(artifactKeys.video(ended), (path) => writeFile(path, 'video'));
    for (const id of [running, ended, failed]) {
      assert.equal(codeOf(await ask('bob', `/v1/renders/${id}`, { method: 'DELETE' })), 'render_unknown');
      assert.equal(codeOf(await ask('bob', `/v1/renders/${id}/cancel`, { method: 'POST' })), 'render_unknown');
      const cancel = await failureOf(grpc.unary(FARM, 'CancelRender', { render_id: id }, as('bob')));
      assert.equal(codeOf(await ask('bob', `/v1/renders/${id}/retry`, { method: 'POST' })), 'render_unknown');
      const retry = await failureOf(grpc.unary(FARM, 'RetryRender', { render_id: id }, as('bob')));
      const get = await failureOf(grpc.unary(FARM, 'GetRender', { render_id: id }, as('bob')));
      const watching = grpc.watch(FARM, 'WatchRender', { render_id: id }, as('bob'));
      const watch = await failureOf(watching.toArray());
      for (const error of [cancel, retry, get, watch]) assert.equal(farmCode(error), 'render_unknown');
    }
    assert.equal((await store.get(running)).status, 'rendering');
    assert.equal((await store.get(failed)).status, 'failed');
    assert.equal((await ask('ann', `/v1/renders/${ended}/video`)).statusCode, 200);
    await grpc.unary(FARM, 'CancelRender', { render_id: running }, as('ann'));
    assert.equal((await store.get(running)).status, 'cancelled');
    assert.equal((await ask('ops', `/v1/renders/${ended}`, { method: 'DELETE' })).statusCode, 204);
  });

  it('lists and pages through its own renders, whatever lies between them', async () => {
    const own: string[] = [];
    for (const owner of ['bob', 'ann', 'ann', 'bob', undefined, 'ann', 'bob']) {
      const id = await renderIn('failed', {}, owner);
      if (owner === 'bob') own.unshift(id);
    }
    const seen: string[] = [];
    for (let url: string | null = '/v1/renders?limit=1&status=failed'; url; ) {
      const page: { renders: { id: string }[]; next: string | null } = (await ask('bob', url)).json();
      seen.push(...page.renders.map(({ id }) => id));
      url = page.next;
    }
    assert.deepEqual(seen, own);
    const [elsewhere] = (await ask('ann', '/v1/renders?limit=1')).json().renders;
    assert.equal(codeOf(await ask('bob', `/v1/renders?before=${elsewhere.id}`)), 'render_unknown');
    await ask('ops', `/v1/renders/${own[0]}`, { method: 'DELETE' });
    const { renders } = (await ask('bob', '/v1/renders?status=failed')).json();
    assert.deepEqual(
      renders.map(({ id }: { id: string }) => id),
      own.slice(1),
    );
  });

  it('has idempotency keys of its own', async () => {
    const [ann, again, bob] = [
      (await submit('ann', { idempotencyKey: 'k' })).json(),
      (await submit('ann', { idempotencyKey: 'k' })).json(),
      (await submit('bob', { sound: 'another', idempotencyKey: 'k' })).json(),
    ];
    assert.equal(ann.id, again.id);
    assert.notEqual(ann.id, bob.id);
    const grpcRender = await failureOf(grpc.upload(FARM, 'SubmitRender', upload('third', 'k'), as('ann')));
    assert.equal(farmCode(grpcRender), 'idempotency_conflict');
    await ask('ann', `/v1/renders/${ann.id}`, { method: 'DELETE' });
    await ask('ann', `/v1/renders/${ann.id}`, { method: 'DELETE' });
    assert.notEqual((await submit('ann', { idempotencyKey: 'k' })).json().id, ann.id, 'removed with the render');
    await ask('bob', `/v1/renders/${bob.id}`, { method: 'DELETE' });
  });
});

describe('limits of a key', () => {
  it('takes so many unfinished renders of it, over both doors together', async () => {
    const first = (await submit('bob')).json();
    await grpc.upload(FARM, 'SubmitRender', upload('sound', ''), as('bob'));
    const refused = await submit('bob');
    assert.deepEqual([refused.statusCode, codeOf(refused)], [429, 'key_limit_reached']);
    assert.ok(Number(refused.headers['retry-after']) > 0);
    const error = await failureOf(grpc.upload(FARM, 'SubmitRender', upload('sound', ''), as('bob')));
    assert.deepEqual([error.code, farmCode(error)], [status.RESOURCE_EXHAUSTED, 'key_limit_reached']);
    assert.equal((await submit('ann')).statusCode, 202, 'others are not held up');
    await ask('bob', `/v1/renders/${first.id}/cancel`, { method: 'POST' });
    assert.equal((await submit('bob')).statusCode, 202);
  });

  it('answers a request that comes again with its render, though that has taken the last place', async () => {
    for (const id of await store.activeIds()) await store.cancel(id);
    const [, last] = [await submit('bob'), await submit('bob', { idempotencyKey: 'last' })];
    assert.equal(codeOf(await submit('bob', { idempotencyKey: 'new' })), 'key_limit_reached');
    const again = await submit('bob', { idempotencyKey: 'last' });
    assert.deepEqual([again.statusCode, again.json().id], [202, last.json().id]);
    const other = await failureOf(grpc.upload(FARM, 'SubmitRender', upload('other', 'last'), as('bob')));
    assert.equal(farmCode(other), 'idempotency_conflict', 'over gRPC it is looked at, too');
  });

  it('counts a failed render that is taken up again', async () => {
    const failed = await renderIn('failed', {}, 'bob');
    await artifacts.publish(artifactKeys.upload(failed), (path) => writeFile(path, 'sound'));
    const again = async (name: Name) => await ask(name, `/v1/renders/${failed}/retry`, { method: 'POST' });
    for (const name of ['bob', 'ops'] as const) assert.equal(codeOf(await again(name)), 'key_limit_reached', name);
    for (const id of await store.activeIds()) await store.cancel(id);
    assert.equal((await again('bob')).statusCode, 200);
  });

  it('takes no more than so many at the same moment', async () => {
    const owner = { name: 'crowd', mostUnfinished: 3, idempotency: 'apart' as const };
    const { request } = await store.get(await renderIn('queued'));
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, index) => store.admit(`r${index}-c0de`, request, 1000, undefined, owner)),
    );
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'admitted').length, 3);
  });

  it('answers so many requests a minute, of both doors together', async () => {
    for (let time = 0; time < 2; time++) assert.equal((await ask('hasty', '/v1/models')).statusCode, 200);
    await grpc.unary(MONOLITHIC, 'ListModels', {}, as('hasty'));
    const refused = await ask('hasty', '/v1/models');
    assert.deepEqual([refused.statusCode, codeOf(refused)], [429, 'rate_limited']);
    assert.ok(Number(refused.headers['retry-after']) > 0);
    const error = await failureOf(grpc.unary(MONOLITHIC, 'ListModels', {}, as('hasty')));
    assert.deepEqual([error.code, farmCode(error)], [status.RESOURCE_EXHAUSTED, 'rate_limited']);
    assert.ok(Number(error.metadata.get('retry-after')[0]) > 0);
  });
});

describe('keys that change while the farm runs', () => {
  afterEach(() => reconfigure({ auth: AUTH }));

  it('refuses a removed key at once, ends what runs for it, and lets a new one in', async () => {
    const id = await renderIn('rendering', {}, 'ann');
    const watching = grpc.watch(FARM, 'WatchRender', { render_id: id }, as('ann'));
    const ended = failureOf(watching.toArray());
    await new Promise((begun) => watching.once('metadata', begun));
    const late = newApiKey();
    const newcomer = { name: 'newcomer', sha256: hashApiKey(late), role: 'render' };
    await reconfigure({ auth: { keys: [...ENTRIES.slice(1), newcomer], api_keys: [PLAIN_KEY] } });
    assert.equal(codeOf(await ask('ann', '/v1/models')), 'unauthorised');
    const error = await failureOf(grpc.unary(MONOLITHIC, 'ListModels', {}, as('ann')));
    assert.equal(farmCode(error), 'unauthorised');
    assert.equal(farmCode(await ended), 'unauthorised');
    assert.equal((await app.inject({ url: '/v1/models', headers: bearer(late) })).statusCode, 200);
    const { reason } = warnings.findLast(({ route }) => route === 'GET /v1/models') ?? {};
    assert.equal(reason, 'removed key "ann"');
  });

  it('does not take an upload whose key was removed before it was complete', async () => {
    const url = new URL(await app.listen({ port: 0, host: '127.0.0.1' }));
    const { renders: before } = (await ask('ops', '/v1/renders')).json();
    const headers = { 'content-type': 'multipart/form-data; boundary=x', ...bearer(KEYS.ann) };
    const sending = request(url, { path: '/v1/renders', method: 'POST', headers });
    const received = once(app.server, 'request');
    sending.write('--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\nhalf a sound');
    await received;
    // Whoever is let in is let in by now: the ring is asked in the same tick.
    await ask('ops', '/v1/models');
    await reconfigure({ auth: { keys: ENTRIES.slice(1) } });
    sending.end(' and the rest\r\n--x\r\nContent-Disposition: form-data; name="model_id"\r\n\r\ndemo\r\n--x--\r\n');
    const [answer] = (await once(sending, 'response')) as [IncomingMessage];
    assert.equal(JSON.parse(await text(answer)).error.code, 'unauthorised');
    assert.equal((await ask('ops', '/v1/renders')).json().renders.length, before.length);
  });

  it('does not mind the order of plain keys', async () => {
    const [first, second] = ['the-first-plain-key', 'the-second-plain-key'];
    await reconfigure({ auth: { keys: ENTRIES, api_keys: [first, second] } });
    const id = await renderIn('rendering');
    const watching = grpc.watch(FARM, 'WatchRender', { render_id: id }, { key: second });
    const ended = watching.toArray();
    await new Promise((begun) => watching.once('metadata', begun));
    await reconfigure({ auth: { keys: ENTRIES, api_keys: [second] } });
    await store.cancel(id);
    assert.equal((await ended).at(-1)?.status, 'CANCELLED');
  });

  it('lets nobody in when the file has no keys any more', async () => {
    await reconfigure({ auth: {} });
    for (const headers of [{}, bearer(KEYS.boss)]) {
      assert.equal((await app.inject({ url: '/v1/models', headers })).statusCode, 401);
    }
    await reconfigure({ auth: { keys: ENTRIES } });
    assert.equal((await ask('boss', '/v1/models')).statusCode, 200);
  });
});

describe('refusals', () => {
  it('are logged with address, route and reason, and no key', async () => {
    const wrong = newApiKey();
    const before = warnings.length;
    const from = '192.0.2.1';
    await app.inject({ url: '/v1/renders/r0-00', remoteAddress: from });
    await app.inject({ url: '/v1/renders/r0-00', remoteAddress: from, headers: bearer(wrong) });
    await app.inject({ url: '/v1/gpus', remoteAddress: from, headers: bearer(KEYS.ann) });
    const said = warnings.slice(before).map(({ address, route, reason, keyName }) => [address, route, reason, keyName]);
    assert.deepEqual(said, [
      [from, 'GET /v1/renders/:id', 'no key', undefined],
      [from, 'GET /v1/renders/:id', 'unknown key', undefined],
      [from, 'GET /v1/gpus', 'role "render"', 'ann'],
    ]);
    assert.ok(!JSON.stringify(warnings).includes(wrong.slice(4)));
    for (let time = 0; time < 50; time++) await app.inject({ url: '/v1/renders', remoteAddress: from });
    assert.ok(warnings.length - before <= 10);
  });

  it('slow down whoever guesses; only a key that nobody can guess still opens', async () => {
    const from = { url: '/v1/models', remoteAddress: '192.0.2.2' };
    const statuses: number[] = [];
    for (let guess = 0; guess < 25; guess++) {
      statuses.push((await app.inject({ ...from, headers: bearer(`guess-${guess}`) })).statusCode);
    }
    assert.deepEqual([statuses.indexOf(429), statuses.at(-1)], [20, 429]);
    const plain = await app.inject({ ...from, headers: bearer(PLAIN_KEY) });
    assert.deepEqual([plain.statusCode, codeOf(plain)], [429, 'rate_limited']);
    assert.equal((await app.inject({ ...from, headers: bearer(KEYS.boss) })).statusCode, 200);
    const elsewhere = { url: '/v1/models', remoteAddress: '192.0.2.3' };
    assert.equal((await app.inject({ ...elsewhere, headers: bearer(PLAIN_KEY) })).statusCode, 200);
  });

  it('count what comes from one network of IPv6 together', async () => {
    const guess = async (remoteAddress: string) =>
      (await app.inject({ url: '/v1/models', remoteAddress, headers: bearer('guess') })).statusCode;
    for (let host = 1; host <= 20; host++) assert.equal(await guess(`2001:db8::${host}`), 401);
    assert.deepEqual([await guess('2001:db8::ffff:1:2'), await guess('2001:db8:0:1::1')], [429, 401]);
  });
});
