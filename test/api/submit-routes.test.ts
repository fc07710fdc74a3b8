import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { newRenderId } from '../../shared/renders/id.ts';
import { uploadKey } from '../../shared/renders/keys.ts';
import { HOUR_MS } from '../../shared/units.ts';
import type { RenderPage, RenderView } from '../../shared/views/render-view.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';

const MAX_UPLOAD_MB = 1;
const SOUND = Buffer.from('The front end looks at no sound: that is what media workers are for.');

const { app, services, artifacts } = await startApi({
  models: { demo: DEMO_MODEL, old: { ...DEMO_MODEL, model_path: 'D:\\models\\best.onnx' } },
  limits: { max_upload_mb: MAX_UPLOAD_MB },
});
const crowded = await startApi({ models: { demo: DEMO_MODEL }, server: { queue_size: 3 } });

/** Submits a form; a Buffer among its fields is the file. */
async function submit(fields: Record<string, string | Buffer>, headers: Record<string, string> = {}, to = app) {
  const payload = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') payload.set(name, value);
    else payload.set(name, new Blob([new Uint8Array(value)]), 'speech.wav');
  }
  return await to.inject({ method: 'POST', url: '/v1/renders', payload, headers });
}

async function submitted(fields: Record<string, string>, headers?: Record<string, string>): Promise<string> {
  const answer = await submit({ audio: SOUND, model_id: 'demo', ...fields }, headers);
  assert.equal(answer.statusCode, 202, answer.payload);
  return answer.json<RenderView>().id;
}

describe('POST /v1/renders', () => {
  it('takes a file and says where the render is', async () => {
    const answer = await submit({ audio: SOUND, model_id: 'demo' });
    const { id, status } = answer.json<RenderView>();
    assert.equal(status, 'queued');
    assert.equal(answer.headers.location, `/v1/renders/${id}`);
    assert.equal((await app.inject(`/v1/renders/${id}`)).json<RenderView>().id, id);
  });

  it('makes one render of the same Idempotency-Key, also when it has ended', async () => {
    const key = { 'idempotency-key': 'order-17' };
    const [first, again] = await Promise.all([submitted({}, key), submitted({}, key)]);
    assert.equal(first, again);
    const other = await submit({ audio: SOUND, model_id: 'demo', start_frame: '3' }, key);
    assert.deepEqual([other.statusCode, other.json().error.code], [409, 'idempotency_conflict']);
    await app.inject({ method: 'DELETE', url: `/v1/renders/${first}` });
    assert.equal(await submitted({}, key), first);
  });

  it('makes one render of an upload in parts, which stays whatever an Idempotency-Key has made before', async () => {
    const id = newRenderId();
    await artifacts.put(artifactKeys.upload(id), SOUND);
    const sha256 = createHash('sha256').update(SOUND).digest('hex');
    const upload = { fileName: 'long.wav', bytes: SOUND.length, partBytes: SOUND.length, storeId: 's', sha256 };
    await services.redis.set(uploadKey(id), JSON.stringify({ ...upload, expiresAtMs: Date.now() + HOUR_MS }));
    const ask = async (more: object = {}, headers: Record<string, string> = {}) => {
      const payload = { upload_id: id, model_id: 'demo', ...more };
      const answer = await app.inject({ method: 'POST', url: '/v1/renders', payload, headers });
      return answer.statusCode === 202 ? answer.json<RenderView>().id : answer.json().error.code;
    };
    const key = { 'idempotency-key': 'order-18' };
    const first = await submitted({}, key);
    assert.equal(await ask({}, key), first);
    assert.equal(await artifacts.size(artifactKeys.upload(id)), SOUND.length);
    assert.deepEqual([await ask(), await ask()], [id, id]);
    assert.equal(await ask({ start_frame: 3 }), 'idempotency_conflict');
  });

  it('has the sounds of high renders read first, and those of low ones last', async () => {
    const ids: string[] = [];
    for (const priority of ['low', 'normal', 'high']) ids.push(await submitted({ priority }));
    const jobs = await services.queues.media('media').getPrioritized();
    const order = jobs.map(({ data }) => data.renderId).filter((id: string) => ids.includes(id));
    assert.deepEqual(order, ids.toReversed());
    assert.equal((await app.inject(`/v1/renders/${ids[2]}`)).json<RenderView>().priority, 'high');
    const wrong = await submit({ audio: SOUND, model_id: 'demo', priority: 'urgent' });
    assert.match(wrong.json().error.message, /priority: got "urgent"; expected low, normal or high/);
  });

  it('refuses with 429 and Retry-After while the queue is full, and takes renders again when it is not', async () => {
    const form = { audio: SOUND, model_id: 'demo' };
    const taken = await Promise.all([1, 2, 3].map(() => submit(form, {}, crowded.app)));
    for (const answer of taken) assert.equal(answer.statusCode, 202);
    const refused = await submit(form, {}, crowded.app);
    assert.equal(refused.statusCode, 429);
    assert.ok(Number(refused.headers['retry-after']) > 0);
    assert.equal(refused.json().error.code, 'queue_full');
    await crowded.app.inject({ method: 'DELETE', url: `/v1/renders/${taken[0]?.json<RenderView>().id}` });
    assert.equal((await submit(form, {}, crowded.app)).statusCode, 202);
  });

  const refusals: { name: string; form: Record<string, string | Buffer>; status: number; code: string }[] = [
    { name: 'no file', form: { model_id: 'demo' }, status: 400, code: 'upload_missing' },
    { name: 'an empty file', form: { audio: Buffer.alloc(0), model_id: 'demo' }, status: 422, code: 'audio_empty' },
    {
      name: 'a file over the limit',
      form: { audio: Buffer.alloc(MAX_UPLOAD_MB * 2 ** 20 + 1), model_id: 'demo' },
      status: 413,
      code: 'upload_too_large',
    },
    { name: 'an unknown model', form: { audio: SOUND, model_id: 'nobody' }, status: 404, code: 'model_unknown' },
    {
      name: 'a model whose paths cannot be used here',
      form: { audio: SOUND, model_id: 'old' },
      status: 422,
      code: 'model_unusable',
    },
    {
      name: 'another frame rate',
      form: { audio: SOUND, model_id: 'demo', fps: '30' },
      status: 400,
      code: 'request_invalid',
    },
    {
      name: 'an unknown field',
      form: { audio: SOUND, model_id: 'demo', colour: 'red' },
      status: 400,
      code: 'request_invalid',
    },
  ];
  for (const { name, form, status, code } of refusals) {
    it(`refuses ${name} with a code and a remedy, and leaves no upload behind`, async () => {
      const answer = await submit(form);
      const { error } = answer.json();
      assert.deepEqual([answer.statusCode, error.code], [status, code], error.message);
      assert.ok(error.message.length > 10 && error.remedy.endsWith('.'));
      const { renders } = (await app.inject('/v1/renders?limit=100')).json<RenderPage>();
      const known = new Set(renders.map(({ id }) => id));
      const folders = await readdir(path.join(services.config.storageRoot, 'renders')).catch(() => []);
      assert.deepEqual(
        folders.filter((id) => !known.has(id)),
        [],
      );
    });
  }

  it('refuses a body that is no form', async () => {
    const answer = await app.inject({
      method: 'POST',
      url: '/v1/renders',
      payload: 'hello',
      headers: { 'content-type': 'text/plain' },
    });
    assert.equal(answer.json().error.code, 'upload_missing');
  });
});

describe('GET /v1/renders', () => {
  it('lists renders newest first, page by page', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 3; count++) ids.unshift(await submitted({}));
    const first = (await app.inject('/v1/renders?limit=2')).json<RenderPage>();
    assert.deepEqual(
      first.renders.map(({ id }) => id),
      ids.slice(0, 2),
    );
    const second = (await app.inject(String(first.next))).json<RenderPage>();
    assert.equal(second.renders[0]?.id, ids[2]);
  });

  it('knows no render of another id, and no other path', async () => {
    assert.equal((await app.inject('/v1/renders/r0-00')).json().error.code, 'render_unknown');
    assert.equal((await app.inject('/v2/renders')).json().error.code, 'not_found');
  });
});
