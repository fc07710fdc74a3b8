import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { isVideo, type Output } from '../../shared/renders/outputs.ts';
import type { RenderStatus } from '../../shared/renders/record.ts';
import type { RenderPage, RenderView } from '../../shared/views/render-view.ts';
import { startApi } from '../support/api.ts';
import { until } from '../support/until.ts';

const { app, artifacts, renderIn, services, store } = await startApi();
const VIDEO = Buffer.from('0123456789'.repeat(100));
/** Of the frames of a render. */
const LAST = 74;
const get = (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers });

/** A completed render with its files. */
async function completed(output: Output = 'mp4'): Promise<string> {
  const id = await renderIn('completed', { output });
  const key = isVideo(output) ? artifactKeys.video(id, output) : artifactKeys.frame(id, 7, output);
  for (const file of [key, artifactKeys.receipt(id)]) {
    await artifacts.publish(file, (path) => writeFile(path, VIDEO));
  }
  return id;
}

describe('the files of a render', () => {
  it('are served whole, in part, or not at all when the client has them', async () => {
    const url = `/v1/renders/${await completed()}/video`;
    const whole = await get(url);
    assert.equal(whole.statusCode, 200);
    assert.equal(whole.headers['content-type'], 'video/mp4');
    assert.deepEqual(whole.rawPayload, VIDEO);
    const part = await get(url, { range: 'bytes=100-199' });
    assert.equal(part.statusCode, 206);
    assert.equal(part.headers['content-range'], 'bytes 100-199/1000');
    assert.deepEqual(part.rawPayload, VIDEO.subarray(100, 200));
    const tail = await get(url, { range: 'bytes=-10' });
    assert.deepEqual(tail.rawPayload, VIDEO.subarray(-10));
    const outside = await get(url, { range: 'bytes=1000-' });
    assert.deepEqual([outside.statusCode, outside.json().error.code], [416, 'range_unsatisfiable']);
    const known = await get(url, { 'if-none-match': String(whole.headers.etag) });
    assert.equal(known.statusCode, 304);
    const head = await app.inject({ method: 'HEAD', url });
    assert.equal(head.headers['content-length'], '1000');
  });

  it('say what they are, and what they are to be called', async () => {
    const [webm, png] = [await completed('webm'), await completed('png-frames')];
    for (const [path, type, name] of [
      [`${webm}/video`, 'video/webm', `${webm}.webm`],
      [`${png}/frames/7`, 'image/png', `${png}-7.png`],
    ] as const) {
      const { headers } = await get(`/v1/renders/${path}`);
      assert.deepEqual([headers['content-type'], headers['content-disposition']], [type, `inline; filename="${name}"`]);
    }
    assert.equal((await get(`/v1/renders/${webm}/frames/7`)).json().error.code, 'output_not_kept');
    await artifacts.publish(artifactKeys.frame(png, LAST, 'png-frames'), (path) => writeFile(path, VIDEO));
    const { body } = await get(`/v1/renders/${png}/preview?as=mjpeg&from=${LAST}`);
    assert.match(body, /^content-type: image\/png\r$/m);
  });

  it('are the video or the frames, as was asked for, and the receipt', async () => {
    const video = await completed('mp4');
    const frames = await completed('frames');
    assert.equal((await get(`/v1/renders/${video}/frames/7`)).json().error.code, 'output_not_kept');
    assert.equal((await get(`/v1/renders/${frames}/video`)).json().error.code, 'output_not_kept');
    assert.equal((await get(`/v1/renders/${frames}/frames/75`)).json().error.code, 'frame_unknown');
    const frame = await get(`/v1/renders/${frames}/frames/7`);
    assert.equal(frame.headers['content-type'], 'image/jpeg');
    assert.deepEqual(frame.rawPayload, VIDEO);
    assert.deepEqual((await get(`/v1/renders/${video}/receipt`)).rawPayload, VIDEO);
  });

  it('are the pictures that were made of it, and 404 where none were', async () => {
    const id = await completed();
    const { contactSheet, waveform, waterfall } = artifactKeys;
    for (const [name, keyOf, type] of [
      ['contact-sheet', contactSheet, 'image/jpeg'],
      ['waveform', waveform, 'image/svg+xml'],
      ['waterfall', waterfall, 'image/svg+xml'],
    ] as const) {
      const url = `/v1/renders/${id}/${name}`;
      const before = await get(url);
      assert.deepEqual([before.statusCode, before.json().error.code], [404, 'picture_unknown']);
      await artifacts.publish(keyOf(id), (path) => writeFile(path, VIDEO));
      const picture = await get(url);
      assert.deepEqual([picture.headers['content-type'], picture.rawPayload], [type, VIDEO]);
      assert.equal((await get(url, { 'if-none-match': String(picture.headers.etag) })).statusCode, 304);
      assert.equal((await get(`/v1/renders/${await renderIn('failed')}/${name}`)).json().error.code, 'render_failed');
    }
  });

  for (const [status, code] of [
    ['queued', 'render_not_finished'],
    ['rendering', 'render_not_finished'],
    ['failed', 'render_failed'],
    ['cancelled', 'render_cancelled'],
  ] as const satisfies [RenderStatus, string][]) {
    it(`are refused with ${code} when it is ${status}`, async () => {
      const id = await renderIn(status);
      for (const file of ['video', 'receipt']) {
        const answer = await get(`/v1/renders/${id}/${file}`);
        assert.equal(answer.statusCode, 409);
        assert.equal(answer.json().error.code, code);
      }
    });
  }
});

const cancel = (id: string) => app.inject({ method: 'POST', url: `/v1/renders/${id}/cancel` });
const remove = (id: string) => app.inject({ method: 'DELETE', url: `/v1/renders/${id}` });

describe('cancelling a render', () => {
  it('stops one that is unfinished and takes its files away, and answers the same when it is repeated', async () => {
    const id = await renderIn('rendering');
    await artifacts.publish(artifactKeys.upload(id), (path) => writeFile(path, VIDEO));
    for (const answer of [await cancel(id), await cancel(id)]) {
      assert.equal(answer.statusCode, 200);
      assert.equal(answer.json<RenderView>().status, 'cancelled');
    }
    assert.equal(await artifacts.size(artifactKeys.upload(id)), undefined);
    assert.equal((await cancel('r0-00')).json().error.code, 'render_unknown');
  });

  it('leaves the result of one that has ended before, however late or often it comes', async () => {
    const id = await completed();
    for (const answer of [await cancel(id), await cancel(id)]) {
      assert.deepEqual([answer.statusCode, answer.json<RenderView>().status], [200, 'completed']);
    }
    assert.deepEqual((await get(`/v1/renders/${id}/video`)).rawPayload, VIDEO);
    assert.equal((await cancel(await renderIn('failed'))).json<RenderView>().status, 'failed');
  });
});

describe('DELETE', () => {
  it('removes a render that has ended, and may be repeated', async () => {
    const id = await completed();
    const removed = await remove(id);
    assert.deepEqual([removed.statusCode, removed.headers.deprecation], [204, undefined]);
    assert.equal((await get(`/v1/renders/${id}`)).json().error.code, 'render_unknown');
    assert.equal(await artifacts.size(artifactKeys.video(id)), undefined);
    assert.equal((await remove(id)).statusCode, 404);
  });

  it('marks the files before it removes the record: without one they are then no result that was lost', async () => {
    const id = await completed();
    await services.redis.call('CLIENT', 'PAUSE', '300', 'WRITE');
    let answered = false;
    const removed = remove(id).finally(() => {
      answered = true;
    });
    await until('they are marked', async () => (await artifacts.size(artifactKeys.unwanted(id))) === 0);
    assert.ok(!answered, 'Redis holds the removal back');
    assert.equal((await removed).statusCode, 204);
    assert.equal(await artifacts.size(artifactKeys.unwanted(id)), undefined);
  });

  it('takes files away that an earlier one left, because it was cut off before it had removed them', async () => {
    const id = await completed();
    await store.remove(id);
    assert.equal((await remove(id)).statusCode, 404);
    assert.equal(await artifacts.size(artifactKeys.video(id)), undefined);
  });

  it('still cancels a render that is unfinished, and says that this is deprecated', async () => {
    const id = await renderIn('rendering');
    const answer = await remove(id);
    assert.deepEqual([answer.statusCode, answer.json<RenderView>().status], [200, 'cancelled']);
    assert.match(String(answer.headers.deprecation), /^@\d{10}$/);
    assert.match(String(answer.headers.link), /^<\/openapi\.json>; rel="deprecation"/);
    assert.equal((await remove(id)).statusCode, 204);
  });
});

describe('the list', () => {
  const page = async (url: string) => (await get(url)).json<RenderPage>();
  const idsOf = ({ renders }: RenderPage) => renders.map(({ id }) => id);

  it('goes on where it was when the render that a page ended with has been removed', async () => {
    const ids = [await renderIn('queued'), await completed(), await renderIn('queued')].reverse();
    const first = await page('/v1/renders?limit=2');
    assert.deepEqual(idsOf(first), ids.slice(0, 2));
    await app.inject({ method: 'DELETE', url: `/v1/renders/${ids[1]}` });
    assert.equal(idsOf(await page(String(first.next)))[0], ids[2]);
    assert.equal((await get(`/v1/renders?before=${ids[1]}`)).json().error.code, 'render_unknown');
    assert.equal(idsOf(await page(`/v1/renders?before=${ids[0]}`))[0], ids[2]);
  });

  it('holds only renders of a status when one is asked for, page by page', async () => {
    const ids = [await renderIn('stitching'), await renderIn('queued'), await renderIn('stitching')].reverse();
    const first = await page('/v1/renders?limit=1&status=stitching');
    assert.deepEqual(idsOf(first), [ids[0]]);
    const second = await page(String(first.next));
    assert.deepEqual([idsOf(second), second.next], [[ids[2]], null]);
    const wrong = (await get('/v1/renders?status=done')).json();
    assert.match(wrong.error.message, /status: got "done"; expected queued, preparing/);
  });
});
