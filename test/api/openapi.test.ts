import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { after, describe, it } from 'node:test';
import { Ajv } from 'ajv';
import type { InjectOptions } from 'fastify';
import { hashApiKey } from '../../shared/api-keys.ts';
import { avatarPictureKeys } from '../../shared/artifacts/avatar-pictures.ts';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { KEY_PREFIX } from '../../shared/redis/key-prefix.ts';
import { savePreview } from '../../shared/renders/preview.ts';
import { GpuDrains } from '../../shared/workers/gpu-drains.ts';
import { type Heartbeat, startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { HostDrains } from '../../shared/workers/host-drains.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';

const MEDIA_WORKER: Omit<Heartbeat, 'workerId'> = {
  ...{ gpuId: null, host: 'here', pid: 1, startedAtMs: 0, provider: null, device: null, models: [] },
  ...{ draining: false, runningJobs: 0, eventLoopBlockedMaxMs: 0 },
};

/** What /openapi.json says of the API is what the API does: every answer that is documented is sent here, and no other. */

const KEY = 'a-key-of-this-test';
const STUDIO_KEY = 'a-key-with-the-role-render';
const HASTY_KEY = 'a-key-for-one-request-a-minute';
const { app, artifacts, services, renderIn } = await startApi({
  models: { demo: DEMO_MODEL, old: { ...DEMO_MODEL, model_path: 'D:\\best.onnx' } },
  auth: {
    api_keys: [KEY],
    keys: [
      { name: 'studio', sha256: hashApiKey(STUDIO_KEY), role: 'render' },
      { name: 'hasty', sha256: hashApiKey(HASTY_KEY), role: 'admin', requests_per_minute: 1 },
    ],
  },
  limits: { max_upload_mb: 1, live_wait_seconds: 1 },
  server: { queue_size: 3 },
  inputs: { url_hosts: ['127.0.0.1'], url_networks: ['127.0.0.1'] },
});

interface Answer {
  readonly description: string;
  readonly content?: Readonly<Record<string, { schema: object }>>;
}
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly security?: readonly object[];
  readonly requestBody?: { content: Record<string, { schema: { properties: object; required: string[] } }> };
  readonly responses: Readonly<Record<string, Answer>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: object; readonly securitySchemes: object };
  readonly security: readonly object[];
}

const document = (
  await app.inject({ url: '/openapi.json', headers: { authorization: `Bearer ${KEY}` } })
).json<Document>();
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
);
const ajv = new Ajv({ strict: false, validateFormats: false });
ajv.addSchema({ ...document, $id: 'openapi' });

/** Need a worker, a bucket, a Redis that is away, or a fault of the farm; tests of those have them. */
const ELSEWHERE =
  /^(?:loadModel (?:200|409|500)|unloadModel (?:200|504)|resumeGpu 200|isReady 200|followRenders 200|testWebhook (?:202|422)|getWebhookSecrets 200|get(?:Video|Frame|ContactSheet) 307|(?:begin|get|complete|delete)Upload (?:20[014]|409)|\w+ 50[03])$/;
const sent = new Set<string>();

/** Sends a request to an operation, and checks that the answer is one that is documented, in the form that is documented. */
async function ask(operationId: string, status: number, options: InjectOptions & { in?: Record<string, string> } = {}) {
  const operation = operations.find((candidate) => candidate.operationId === operationId);
  assert.ok(operation, operationId);
  const { in: parts = {}, ...rest } = options;
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => parts[name] ?? '');
  const headers = { authorization: `Bearer ${KEY}`, ...rest.headers };
  const answer = await app.inject({ method: operation.method as 'GET', ...rest, url: path, headers });
  assert.equal(answer.statusCode, status, `${operationId}: ${answer.payload.slice(0, 300)}`);
  const documented = operation.responses[status];
  assert.ok(documented, `${operationId} answers ${status}, which is not documented`);
  sent.add(`${operationId} ${status}`);
  const [type = ''] = String(answer.headers['content-type'] ?? '').split(';');
  if (!documented.content) assert.equal(answer.payload, '', `${operationId} ${status} has a body`);
  else if (type === 'application/json' && status !== 206) {
    const pointer = ['paths', operation.path, operation.method, 'responses', String(status), 'content', type, 'schema'];
    const ref = pointer.map((step) => encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/');
    const isValid = ajv.compile({ $ref: `openapi#/${ref}` });
    assert.ok(isValid(answer.json()), `${operationId} ${status}: ${ajv.errorsText(isValid.errors)}`);
  } else assert.ok(documented.content[type], `${operationId} ${status}: ${type}`);
  return answer;
}

const FORM = { 'content-type': 'multipart/form-data; boundary=x' };
const part = (name: string, value: string, file = '') =>
  `--x\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${value}\r\n`;
const form = (sound: string, fields: Record<string, string> = {}) => ({
  headers: FORM,
  payload: `${Object.entries({ model_id: 'demo', ...fields })
    .map(([name, value]) => part(name, value))
    .join('')}${part('audio', sound, '; filename="a.wav"')}--x--\r\n`,
});
const NOBODY = { id: 'r0-00' };

async function withFiles(output: 'mp4' | 'frames'): Promise<string> {
  const id = await renderIn('completed', { output });
  const picture = output === 'mp4' ? artifactKeys.video(id) : artifactKeys.frame(id, 0);
  await artifacts.publish(picture, (path) => writeFile(path, 'picture'));
  await artifacts.publish(artifactKeys.receipt(id), (path) => writeFile(path, JSON.stringify(receiptOf(id))));
  for (const keyOf of [artifactKeys.contactSheet, artifactKeys.waveform, artifactKeys.waterfall])
    await artifacts.publish(keyOf(id), (path) => writeFile(path, 'picture'));
  return id;
}

/** Asks for the pictures of an avatar, before and after a media worker has made them. */
async function avatarPictures(): Promise<void> {
  const demo = { id: 'demo', index: '0' };
  for (const operation of ['listAvatarPictures', 'getAvatarPortrait', 'getAvatarPicture'])
    await ask(operation, 404, { in: demo });
  const picture = { index: 0, rect: { x1: 1, y1: 1, x2: 2, y2: 2 } };
  const list = { version: 'v', width: 4, height: 4, total: 1, pictures: [picture] };
  await artifacts.publish(avatarPictureKeys.picture('demo', 'v', 0), (path) => writeFile(path, 'picture'));
  await artifacts.publish(avatarPictureKeys.list('demo'), (path) => writeFile(path, JSON.stringify(list)));
  await ask('listAvatarPictures', 200, { in: demo });
  for (const operation of ['getAvatarPortrait', 'getAvatarPicture']) {
    const { etag } = (await ask(operation, 200, { in: demo })).headers;
    await ask(operation, 304, { in: demo, headers: { 'if-none-match': String(etag) } });
  }
}

const receiptOf = (id: string) => ({
  ...{ render_id: id, model_id: 'demo', output: 'mp4', frames: 1, fps: 25, width: 2, height: 2 },
  range: null,
  background: { mode: 'ping-pong', start_frame: 0, from_neutral: false },
  footage: null,
  silence_gate: null,
  ...{ segments_cached: 0, frames_cached: 0 },
  audio: { file_name: 'a.wav', sha256: 'a', seconds: 1, speaking_seconds: null, lead_ms: 0, tail_ms: 0 },
  ...{ video: null, audio_minus_video_seconds: null, model_files: [], providers: [], segments: [] },
  timings_ms: { mel: 1, encoder: 1, background: 1, visual_input: 1, inference: 1, composite: 1, encode: 1 },
  finished_at: '2026-01-01T00:00:00.000Z',
});

describe('the API as it is documented', () => {
  it('asks for a key wherever it says so', async () => {
    for (const { operationId, security = document.security } of operations) {
      if (security.length > 0)
        await ask(operationId, 401, { in: { id: 'r0-00', index: '0' }, headers: { authorization: '' } });
    }
    assert.deepEqual(Object.keys(document.components.securitySchemes), ['bearerKey', 'basicKey']);
  });

  it('asks for another role wherever it says so, and lets nobody ask without pause', async () => {
    const at = { in: { id: 'r0-00', index: '0' } };
    await app.inject({ url: '/v1/models', headers: { authorization: `Bearer ${HASTY_KEY}` } });
    for (const { operationId, responses, security = document.security } of operations) {
      if (responses[403]?.description.includes('forbidden'))
        await ask(operationId, 403, { ...at, headers: { authorization: `Bearer ${STUDIO_KEY}` } });
      if (security.length === 0) continue;
      const { headers } = await ask(operationId, 429, { ...at, headers: { authorization: `Bearer ${HASTY_KEY}` } });
      assert.ok(Number(headers['retry-after']) > 0);
    }
  });

  it('refuses pages of other origins, and names that are not its own', async () => {
    for (const { operationId } of operations.filter((operation) => operation.security?.length !== 0)) {
      const at = { id: 'r0-00', index: '0' };
      await ask(operationId, 403, { in: at, headers: { origin: 'https://evil.test' } });
      await ask(operationId, 421, { in: at, headers: { host: 'evil.test' } });
    }
  });

  it('refuses parameters that it does not document', async () => {
    for (const { operationId, path } of operations.filter(({ path }) => path.startsWith('/v1/'))) {
      const id = path.includes('/gpus/') ? '0' : 'r0-00';
      await ask(operationId, 400, { in: { id, index: '0' }, query: { colour: 'red' } });
    }
  });

  it('takes uploads', async () => {
    const { id } = (
      await ask('submitRender', 202, { ...form('sound'), headers: { ...FORM, 'idempotency-key': 'k' } })
    ).json();
    await ask('submitRender', 409, { ...form('another'), headers: { ...FORM, 'idempotency-key': 'k' } });
    await ask('submitRender', 404, form('sound', { model_id: 'nobody' }));
    await ask('submitRender', 413, form('x'.repeat(2 ** 20 + 1)));
    await ask('submitRender', 422, form(''));
    await ask('submitRender', 502, { payload: { model_id: 'demo', audio_url: 'http://127.0.0.1:1/a.wav' } });
    await Promise.all([renderIn('queued'), renderIn('queued')]);
    const refused = await ask('submitRender', 429, form('sound'));
    assert.ok(Number(refused.headers['retry-after']) > 0);
    await ask('cancelRender', 200, { in: { id } });
    await ask('cancelRender', 404, { in: NOBODY });
    const failed = await renderIn('failed');
    await ask('retryRender', 409, { in: { id: failed } });
    await artifacts.publish(artifactKeys.upload(failed), (path) => writeFile(path, 'sound'));
    await renderIn('queued');
    await ask('retryRender', 429, { in: { id: failed } });
    await ask('retryRender', 200, { in: { id: await renderIn('completed') } });
    await ask('retryRender', 404, { in: NOBODY });
    await ask('deleteRender', 200, { in: { id: await renderIn('queued') } });
    await ask('deleteRender', 204, { in: { id } });
    await ask('deleteRender', 404, { in: { id } });
  });

  it('takes batches', async () => {
    await ask('submitBatch', 200, form('sound', { model_id: 'nobody' }));
    await ask('submitBatch', 413, { headers: { 'content-type': 'application/json' }, payload: ' '.repeat(2 ** 21) });
  });

  it('estimates', async () => {
    const json = { 'content-type': 'application/json' };
    const payload = { model_id: 'demo', audio_seconds: 60, from: 100 };
    const { frames, gpu_seconds, gpus } = (await ask('estimateRender', 200, { headers: json, payload })).json();
    assert.deepEqual([frames, gpu_seconds, gpus], [1400, null, 0]);
    await ask('estimateRender', 404, { headers: json, payload: { ...payload, model_id: 'nobody' } });
    await ask('estimateRender', 413, { headers: json, payload: ' '.repeat(2 ** 21) });
    await ask('estimateRender', 415, { headers: { 'content-type': 'text/xml' }, payload: '<a/>' });
    await ask('estimateRender', 422, { headers: json, payload: { ...payload, audio_seconds: 4000 } });
  });

  it('shows renders', async () => {
    await ask('listRenders', 200, { query: { limit: '1' } });
    await ask('listRenders', 404, { query: { before: 'r0-00' } });
    await ask('getRender', 200, { in: { id: await renderIn('failed') } });
    await ask('getRender', 404, { in: NOBODY });
    const id = await renderIn('rendering');
    await ask('getPreview', 404, { in: { id } });
    await savePreview(artifacts, id, { jpeg: Buffer.from('picture'), frameIndex: 0 });
    await ask('getPreview', 200, { in: { id } });
    await ask('getPreview', 503, { in: { id: await renderIn('completed') }, query: { as: 'mjpeg' } });
  });

  it('has webhooks, or says that there are none', async () => {
    await ask('testWebhook', 409);
    await ask('getWebhookSecrets', 409);
    await ask('listDeliveries', 200);
  });

  it('has a client follow a render to its end, and says when there is nothing more', async () => {
    const id = await renderIn('completed');
    const { payload } = await ask('followRender', 200, { in: { id } });
    const last =
      payload
        .match(/^id: (.*)$/gm)
        ?.at(-1)
        ?.slice(4) ?? '';
    await ask('followRender', 204, { in: { id }, headers: { 'last-event-id': last } });
    await ask('followRender', 404, { in: NOBODY });
  });

  it('sends files whole, in part, and not at all when the client has them', async () => {
    const [video, frames] = [await withFiles('mp4'), await withFiles('frames')];
    for (const [operationId, id] of [
      ['getVideo', video],
      ['getFrame', frames],
      ['getReceipt', video],
      ['getContactSheet', video],
      ['getWaveform', video],
      ['getWaterfall', frames],
    ] as const) {
      const at = { id, index: '0' };
      const etag = String((await ask(operationId, 200, { in: at })).headers.etag);
      await ask(operationId, 206, { in: at, headers: { range: 'bytes=0-3' } });
      await ask(operationId, 416, { in: at, headers: { range: 'bytes=99999-' } });
      for (const known of [etag, `W/${etag}`, `"other", ${etag}`, `"a,b",W/${etag}`, '*']) {
        await ask(operationId, 304, { in: at, headers: { 'if-none-match': known } });
      }
      await ask(operationId, 200, { in: at, headers: { 'if-none-match': '"other", W/"another"' } });
      await ask(operationId, 409, { in: { id: await renderIn('queued', { output: 'frames' }), index: '0' } });
      await ask(operationId, 404, { in: { ...NOBODY, index: '0' } });
    }
  });

  it('shows models and GPUs, and takes orders for them', async () => {
    await ask('getSession', 200);
    await avatarPictures();
    await ask('listModels', 200);
    const json = { 'content-type': 'application/json' };
    await ask('loadModel', 404, { in: { id: 'nobody' } });
    await ask('loadModel', 422, { in: { id: 'old' } });
    await ask('loadModel', 504, { in: { id: 'demo' } });
    await ask('loadModel', 413, { in: { id: 'demo' }, headers: json, payload: ' '.repeat(2 ** 21) });
    await ask('loadModel', 415, { in: { id: 'demo' }, headers: { 'content-type': 'text/xml' }, payload: '<a/>' });
    await ask('unloadModel', 404, { in: { id: 'nobody' } });
    await ask('unloadModel', 422, { in: { id: 'old' } });
    await ask('listGpus', 200);
    await ask('getQueueHistory', 200);
    for (const order of ['drainGpu', 'resumeGpu']) await ask(order, 404, { in: { id: '7' } });
    await new GpuDrains(services.redis).give(7, 'drain');
    await ask('drainGpu', 200, { in: { id: '7' } });
    await ask('listHosts', 200);
    for (const order of ['drainHost', 'undrainHost', 'forgetHost']) await ask(order, 404, { in: { name: 'nowhere' } });
    await new HostDrains(services.redis).give('gone', 'drain');
    for (const order of ['drainHost', 'undrainHost']) {
      await new HostDrains(services.redis).give('gone', 'drain');
      await ask(order, 200, { in: { name: 'gone' } });
    }
    const beating = startHeartbeat(services.redis, 'w', () => MEDIA_WORKER, QUIET_LOG);
    await beating.first;
    await ask('forgetHost', 409, { in: { name: 'here' } });
    await beating.stop();
    await new HostDrains(services.redis).give('gone', 'drain');
    await ask('forgetHost', 204, { in: { name: 'gone' } });
    await ask('collectExpired', 200, { query: { dry_run: 'true' } });
    await services.redis.set(`${KEY_PREFIX}:gc:lease`, 'another');
    await ask('collectExpired', 409);
    await ask('isAlive', 200);
    await ask('isReady', 503);
  });

  it('refuses uploads in parts where the files are in a folder', async () => {
    await ask('beginUpload', 409, { payload: { bytes: 100 } });
    await ask('beginUpload', 413, { payload: { bytes: 100, file_name: 'x'.repeat(2 ** 20 + 1) } });
    await ask('beginUpload', 415, { payload: 'x', headers: { 'content-type': 'text/plain' } });
    for (const operationId of ['getUpload', 'completeUpload', 'deleteUpload']) {
      await ask(operationId, 404, { in: { id: 'r0-00' } });
    }
  });

  it('describes the upload as it is read', () => {
    const { content } = operations.find(({ operationId }) => operationId === 'submitRender')?.requestBody ?? {};
    const { properties, required } = content?.['multipart/form-data']?.schema ?? { properties: {}, required: [] };
    assert.deepEqual(Object.keys(properties).sort(), [
      'audio',
      'audio_lead_ms',
      'audio_tail_ms',
      'audio_url',
      'background_mode',
      'cache',
      'fps',
      'from',
      'from_neutral',
      'jpeg_quality',
      'labels',
      'landmarks',
      'model_id',
      'output',
      'priority',
      'rects',
      'silence_gate',
      'start_frame',
      'sync_mode',
      'to',
      'upload_id',
      'video',
      'webhook_events',
      'webhook_url',
    ]);
    assert.deepEqual(required ?? [], [], 'a file or its address');
  });

  it('is on the page of the documentation, route by route', () => {
    const page = readFileSync(new URL('../../docs/http-api.md', import.meta.url), 'utf8');
    for (const { path, method } of operations) assert.ok(page.includes(`\`${method.toUpperCase()} ${path}\``), path);
  });

  it('names every operation, once, and says what it does', () => {
    const names = operations.map(({ operationId }) => operationId);
    assert.equal(new Set(names).size, names.length);
    for (const { operationId, summary } of operations) assert.ok(operationId && summary);
  });

  after(() => {
    const documented = operations.flatMap(({ operationId, responses }) =>
      Object.keys(responses).map((status) => `${operationId} ${status}`),
    );
    const missing = documented.filter((answer) => !sent.has(answer) && !ELSEWHERE.test(answer));
    assert.deepEqual(missing, [], 'documented and never sent');
  });
});
