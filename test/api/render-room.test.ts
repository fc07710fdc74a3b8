import assert from 'node:assert/strict';
import fs, { mkdir, readdir, statfs } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { DiskReserve } from '../../shared/files/disk-reserve.ts';
import { RenderWork } from '../../shared/renders/work.ts';
import { GB, MB } from '../../shared/units.ts';
import type { ReadinessView } from '../../shared/views/health-view.ts';
import { startApi, type TestApi } from '../support/api.ts';

const BODY =
  '--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\nnot much of a sound\r\n--x--\r\n';
const FORM = { 'content-type': 'multipart/form-data; boundary=x' };
/** The disk is asked no more often than every second. */
const OLDEST_ANSWER_MS = 1100;
const submit = { method: 'POST', url: '/v1/renders', headers: FORM, payload: BODY } as const;

const full = await startApi({ limits: { disk_reserve_gb: 1_000_000 } });
const busy = await startApi({ limits: { max_unfinished_frames: 100, max_waiting_uploads_gb: 0.001 } });

test('an upload ends soon after the disk has come below the reserve, and leaves nothing behind', async (t) => {
  let freeGb = 1_000_001;
  t.mock.method(fs, 'statfs', async () => ({ bavail: freeGb, bsize: GB }));
  syncBuiltinESMExports();
  t.after(() => {
    t.mock.restoreAll();
    syncBuiltinESMExports();
  });
  let sentMb = 0;
  async function* body() {
    yield BODY.slice(0, BODY.indexOf('not much'));
    for (; sentMb < 200; sentMb++) {
      if (sentMb === 8) {
        freeGb = 999_999;
        await delay(OLDEST_ANSWER_MS);
      }
      yield Buffer.alloc(MB);
    }
    yield BODY.slice(BODY.indexOf('\r\n--x--'));
  }
  const answer = await full.app.inject({ ...submit, payload: Readable.from(body()) });
  assert.equal(answer.json().error.code, 'storage_full');
  assert.ok(sentMb >= 16 && sentMb < 32, `${sentMb} MB were taken`);
  assert.deepEqual(await readdir(path.join(full.services.config.storageRoot, 'renders')), []);
});

test('below the disk reserve no render is taken, and the farm says that it is not ready', async () => {
  const answer = await full.app.inject(submit);
  assert.equal(answer.statusCode, 503);
  assert.equal(answer.json().error.code, 'storage_full');
  assert.match(answer.json().error.message, /GB free.*; limits\.disk_reserve_gb keeps 1000000\.00 GB/);
  assert.ok(Number(answer.headers['retry-after']) > 0);
  const codes = async ({ app }: TestApi) =>
    (await app.inject('/readyz')).json<ReadinessView>().problems.map(({ code }) => code);
  await mkdir(full.services.config.storageRoot, { recursive: true });
  assert.ok((await codes(full)).includes('storage_full'));
  assert.ok(!(await codes(busy)).includes('storage_full'));
});

test('an upload that would go below the reserve is refused by its announced size', async () => {
  const { bavail, bsize } = await statfs('/');
  const free = bavail * bsize;
  const reserve = new DiskReserve('/', free / GB / 2);
  await reserve.refuseIfShort();
  await assert.rejects(reserve.refuseIfShort(free * 0.9), { code: 'storage_full', message: /and this needs/ });
});

test('while too many frames are unfinished, or too much waits to be read, no render is taken', async () => {
  const work = new RenderWork(busy.services.redis);
  const rendering = await busy.renderIn('rendering');
  const queued = await busy.renderIn('queued');
  await work.claim(rendering, undefined, 100, { frames: 100, ownFrames: 0 });
  const frames = await busy.app.inject(submit);
  assert.equal(frames.statusCode, 429);
  assert.match(frames.json().error.message, /^100 frames are unfinished; limits\.max_unfinished_frames allows 100$/);
  assert.equal(frames.json().error.code, 'queue_full');
  await busy.store.cancel(rendering);
  await work.uploadWaits(queued, 2 ** 20 + 2 ** 17);
  const uploads = await busy.app.inject(submit);
  assert.equal(uploads.json().error.code, 'queue_full');
  assert.match(uploads.json().error.message, /GB of uploads wait to be read; limits\.max_waiting_uploads_gb/);
  await busy.store.cancel(queued);
  assert.equal((await busy.app.inject(submit)).statusCode, 202);
});
