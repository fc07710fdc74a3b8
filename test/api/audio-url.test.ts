import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';

/** Sounds that the farm fetches itself, from a server of this test. */

const SOUND = 'The front end looks at no sound.';
const answers: Record<string, RequestListener> = {
  '/talk/Line%20one.wav': (_, answer) => answer.end(SOUND),
  '/large.wav': (_, answer) => answer.end(Buffer.alloc(2 ** 20 + 1)),
  '/empty.wav': (_, answer) => answer.end(),
  '/moved': (_, answer) => answer.writeHead(302, { location: '/talk/Line%20one.wav' }).end(),
  '/elsewhere': (_, answer) => answer.writeHead(302, { location: `http://localhost:${port}/talk/x.wav` }).end(),
  '/metadata': (_, answer) => answer.writeHead(301, { location: 'http://169.254.169.254/latest' }).end(),
  '/round': (_, answer) => answer.writeHead(307, { location: '/round' }).end(),
  '/cut.wav': (_, answer) => {
    answer.writeHead(200, { 'content-length': '1000' });
    answer.write('a part', () => answer.destroy());
  },
  '/slow.wav': (_, answer) => answer.writeHead(200).write('a part'),
};
const server = createServer((request, answer) => {
  const known = answers[request.url ?? ''];
  if (known) known(request, answer);
  else answer.writeHead(404).end();
});
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = server.address() as AddressInfo;
after(() => {
  server.closeAllConnections();
  server.close();
});

const models = { demo: DEMO_MODEL };
const { app, artifacts, services } = await startApi({
  models,
  limits: { max_upload_mb: 1 },
  inputs: { url_hosts: ['127.0.0.1', '*.example.com'], url_networks: ['127.0.0.1'], url_timeout_seconds: 3 },
});

async function submit(fields: object, headers: Record<string, string> = {}) {
  return await app.inject({ method: 'POST', url: '/v1/renders', payload: fields, headers });
}
const at = (route: string) => ({ audio_url: `http://127.0.0.1:${port}${route}` });

describe('a sound by its address', () => {
  it('lies in the store as an upload does, from JSON and from a form', async () => {
    const labels = { take: '1' };
    const options = { ...at('/talk/Line%20one.wav'), model_id: 'demo', start_frame: 7, labels, from: 10 };
    const inJson = await submit(options);
    assert.equal(inJson.statusCode, 202, inJson.payload);
    const form = new FormData();
    for (const [name, value] of Object.entries(options)) {
      form.set(name, typeof value === 'object' ? JSON.stringify(value) : String(value));
    }
    const inForm = await submit(form);
    for (const answer of [inJson, inForm]) {
      const view = answer.json<RenderView>();
      assert.deepEqual([view.file_name, view.labels, view.range], ['Line one.wav', labels, { from: 10, to: null }]);
      const stored = await artifacts.read(artifactKeys.upload(view.id)).toArray();
      assert.equal(Buffer.concat(stored).toString(), SOUND);
    }
  });

  it('is taken once for the same Idempotency-Key, and found behind redirects', async () => {
    const key = { 'idempotency-key': 'fetch-1' };
    const ids = [];
    for (const route of ['/moved', '/talk/Line%20one.wav']) ids.push((await submit(at(route), key)).json().id);
    assert.equal(ids[0], ids[1]);
  });

  const refusals: { name: string; fields: object; status: number; code: string; says: RegExp }[] = [
    {
      name: 'a host that is not listed',
      fields: { audio_url: 'https://evil.test/a.wav' },
      status: 422,
      code: 'address_refused',
      says: /does not list evil.test/,
    },
    {
      name: 'a listed host of another name',
      fields: { audio_url: 'https://example.com/a.wav' },
      status: 422,
      code: 'address_refused',
      says: /example.com/,
    },
    {
      name: 'a redirect to a host that is not listed',
      fields: at('/elsewhere'),
      status: 422,
      code: 'address_refused',
      says: /does not list localhost/,
    },
    {
      name: 'a redirect to what is not public',
      fields: at('/metadata'),
      status: 422,
      code: 'address_refused',
      says: /169\.254\.169\.254/,
    },
    { name: 'redirects without end', fields: at('/round'), status: 502, code: 'remote_failed', says: /5 redirects/ },
    {
      name: 'another scheme',
      fields: { audio_url: 'file:///etc/passwd' },
      status: 400,
      code: 'request_invalid',
      says: /http/,
    },
    {
      name: 'what is not there',
      fields: at('/gone.wav'),
      status: 502,
      code: 'remote_failed',
      says: /gone\.wav answered 404/,
    },
    { name: 'what breaks off', fields: at('/cut.wav'), status: 502, code: 'remote_failed', says: /broke off/ },
    { name: 'what takes too long', fields: at('/slow.wav'), status: 502, code: 'remote_failed', says: /within 3 s/ },
    { name: 'what is too large', fields: at('/large.wav'), status: 413, code: 'upload_too_large', says: /1 MB/ },
    { name: 'what is empty', fields: at('/empty.wav'), status: 422, code: 'audio_empty', says: /empty/ },
    {
      name: 'JSON without an address',
      fields: { model_id: 'demo' },
      status: 400,
      code: 'upload_missing',
      says: /audio_url/,
    },
    {
      name: 'a number as text',
      fields: { ...at('/moved'), start_frame: '7' },
      status: 400,
      code: 'request_invalid',
      says: /start_frame/,
    },
  ];
  for (const { name, fields, status, code, says } of refusals) {
    it(`is refused for ${name}, and leaves nothing behind`, async () => {
      const before = await readdir(path.join(services.config.storageRoot, 'renders'));
      const answer = await submit(fields);
      const { error } = answer.json();
      assert.deepEqual([answer.statusCode, error.code], [status, code], answer.payload);
      assert.match(error.message, says);
      assert.deepEqual(await readdir(path.join(services.config.storageRoot, 'renders')), before);
    });
  }
});

it('nothing is fetched unless the configuration lists hosts', async () => {
  const closed = await startApi({ models });
  const answer = await closed.app.inject({ method: 'POST', url: '/v1/renders', payload: at('/talk/Line%20one.wav') });
  // The address itself is refused first: it is a private one.
  assert.deepEqual([answer.statusCode, answer.json().error.code], [422, 'address_refused']);
  const payload = { audio_url: 'https://example.com/a.wav' };
  const other = await closed.app.inject({ method: 'POST', url: '/v1/renders', payload });
  assert.match(other.json().error.message, /url_hosts lists no host/);
});
