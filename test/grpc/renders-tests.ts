import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { status } from '@grpc/grpc-js';
import sharp from 'sharp';
import type { Render, RenderPage, RenderSpec } from '../../api/grpc/messages/farm.ts';
import type { TestFarm } from '../support/farm.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { FARM, failureOf, farmCode, type Message, TestClient } from './clients.ts';
import { differences, renderedFrames } from './speech.ts';

const SECONDS = 1.5;
const PIECE = 10_000;

/** @param farm takes two unfinished renders, and uploads of 1 MB. */
export function describeRenders(farm: TestFarm): void {
  describe('renders over gRPC', () => {
    let client: TestClient;
    let wav: Buffer;

    before(async () => {
      client = new TestClient(farm.grpcAddress);
      wav = await sound(SECONDS);
    });
    after(() => client.close());

    const sound = async (seconds: number) => {
      const file = path.join(farm.folder, 'upload.wav');
      await writeWav(file, syllables(seconds));
      return await readFile(file);
    };
    const submit = (spec: Partial<RenderSpec>, file = wav) =>
      client.upload<Render>(FARM, 'SubmitRender', [{ spec: { model_id: 'small', ...spec } }, ...pieces(file)]);
    const get = (render_id: string) => client.unary<Render>(FARM, 'GetRender', { render_id });
    const cancel = (render_id: string) => client.unary<Render>(FARM, 'CancelRender', { render_id });
    const watch = async (render_id: string) => {
      const states: Render[] = [];
      for await (const state of client.watch(FARM, 'WatchRender', { render_id }) as AsyncIterable<Message>) {
        states.push(state as unknown as Render);
      }
      return states;
    };

    it('are taken, watched to their end, and found over HTTP: the same frames as those submitted there', async () => {
      const walk = { background_mode: 'HOLD', start_frame_idx: 1, audio_lead_ms: 80, audio_tail_ms: 40 } as const;
      const over = { backgroundMode: 'hold', startFrame: 1, audioLeadMs: 80, audioTailMs: 40 } as const;
      const submitted = await submit({ output: 'FRAMES', file_name: 'hello.wav', ...walk });
      const { render_id } = submitted;
      assert.equal(submitted.file_name, 'hello.wav');
      assert.equal(submitted.owner, '', 'this farm has no keys');
      const states = [submitted, ...(await watch(render_id))];
      const order = ['QUEUED', 'PREPARING', 'RENDERING', 'STITCHING', 'COMPLETED'];
      const seen = states.map((state) => order.indexOf(state.status));
      assert.deepEqual(
        seen,
        seen.toSorted((a, b) => a - b),
      );
      const last = states.at(-1);
      assert.deepEqual(
        [last?.status, last?.frames_done, last?.frames_total, last?.audio_seconds, last?.error],
        ['COMPLETED', 41, 41, Math.fround(SECONDS + 0.12), null],
      );
      assert.equal(last?.frames_path, `/v1/renders/${render_id}/frames/{index}`);
      assert.equal(last?.video_path, '');
      const frames = await Promise.all(Array.from({ length: 41 }, (_, index) => farm.client.frame(render_id, index)));
      assert.deepEqual(differences(frames, await renderedFrames(farm, SECONDS, { modelId: 'small', ...over })), []);
    });

    it('give a video by default', async () => {
      const { render_id } = await submit({ model_id: 'small' });
      const last = (await watch(render_id)).at(-1);
      const video = await fetch(`${farm.url}${last?.video_path}`);
      assert.equal(video.headers.get('content-type'), 'video/mp4');
      await video.arrayBuffer();
      assert.deepEqual(await get(render_id), last);
    });

    it('are made once for the same idempotency key', async () => {
      const [first, again] = [await submit({ idempotency_key: 'a' }), await submit({ idempotency_key: 'a' })];
      assert.equal(first.render_id, again.render_id);
      const conflict = await failureOf(submit({ idempotency_key: 'a', start_frame_idx: 1 }));
      assert.deepEqual([conflict.code, farmCode(conflict)], [status.ALREADY_EXISTS, 'idempotency_conflict']);
      await watch(first.render_id);
    });

    it('stop when they are cancelled; a finished one stays as it is', async () => {
      const { render_id } = await submit({ model_id: 'demo' }, await sound(20));
      const cancelled = await cancel(render_id);
      assert.equal(cancelled.status, 'CANCELLED');
      assert.equal((await watch(render_id)).at(-1)?.status, 'CANCELLED');
      const finished = await submit({});
      const last = (await watch(finished.render_id)).at(-1);
      assert.deepEqual(await cancel(finished.render_id), last);
      assert.equal((await fetch(`${farm.url}${last?.video_path}`, { method: 'HEAD' })).status, 200);
    });

    it('show their latest picture while they run, over both doors', async () => {
      const { render_id } = await submit({ model_id: 'demo' }, await sound(20));
      const states = client.watch(FARM, 'WatchRender', { render_id, preview: true }) as AsyncIterable<Message>;
      for await (const state of states) {
        const picture = (state as unknown as Render).preview_jpeg;
        if (picture.length === 0) continue;
        const { format, width, height } = await sharp(picture).metadata();
        assert.deepEqual({ format, width, height }, { format: 'jpeg', width: 1280, height: 720 });
        const overHttp = await fetch(`${farm.url}/v1/renders/${render_id}/preview`);
        assert.equal(overHttp.headers.get('content-type'), 'image/jpeg');
        break;
      }
      await cancel(render_id);
    });

    it('are made of a range of frames, in the turn of their priority', async () => {
      const range = { from_frame: 5, to_frame: 9 };
      const submitted = await submit({ output: 'PNG_FRAMES', priority: 'PRIORITY_HIGH', ...range });
      const last = (await watch(submitted.render_id)).at(-1);
      assert.deepEqual(
        [last?.status, last?.output, last?.priority, last?.from_frame, last?.to_frame, last?.frames_total],
        ['COMPLETED', 'PNG_FRAMES', 'PRIORITY_HIGH', 5, 9, 4],
      );
      const none = await failureOf(submit({ from_frame: 5, to_frame: 5 }));
      assert.equal(farmCode(none), 'request_invalid');
    });

    it('say why they failed', async () => {
      const { render_id } = await submit({}, Buffer.from('once upon a time there was no sound\n'.repeat(50)));
      const last = (await watch(render_id)).at(-1);
      assert.equal(last?.status, 'FAILED');
      assert.equal(last?.error?.code, 'audio_unreadable');
      assert.match(last?.error?.remedy ?? '', /\.$/);
    });

    it('are refused while the queue is full', async () => {
      const long = await sound(20);
      const taken = await Promise.all([submit({ model_id: 'demo' }, long), submit({ model_id: 'demo' }, long)]);
      const full = await failureOf(submit({}));
      assert.deepEqual([full.code, farmCode(full)], [status.RESOURCE_EXHAUSTED, 'queue_full']);
      await Promise.all(taken.map(({ render_id }) => cancel(render_id)));
      await watch((await submit({})).render_id);
    });

    it('are listed by label, model and status, page by page', async () => {
      const list = (request: object) => client.unary<RenderPage>(FARM, 'ListRenders', request);
      const labels = { set: 'listed' };
      const ids = [(await submit({ labels })).render_id, (await submit({ labels })).render_id];
      for (const id of ids) await cancel(id);
      const first = await list({ labels, page_size: 1 });
      assert.deepEqual([first.renders[0]?.render_id, first.renders[0]?.labels], [ids[1], labels]);
      const second = await list({ labels, page_size: 1, before: first.next, model_id: 'small' });
      assert.deepEqual([second.renders.map(({ render_id }) => render_id), second.next], [[ids[0]], '']);
      const created_to = first.renders[0]?.created_at;
      assert.equal((await list({ labels, created_to })).renders.length, 1);
      assert.deepEqual((await list({ labels, status: 'QUEUED' })).renders, []);
      assert.deepEqual((await list({ labels, search: `LISTED ${ids[0]}` })).renders.length, 1);
      assert.deepEqual((await list({ search: 'no render has this' })).renders, []);
      for (const wrong of [
        { search: 'x'.repeat(101) },
        { status: 'DONE' },
        { created_from: 'noon' },
        { page_size: 101 },
        { before: 'x' },
      ]) {
        assert.equal(farmCode(await failureOf(list(wrong))), 'request_invalid');
      }
    });

    describe('are refused', () => {
      const upload = (messages: object[]) => client.upload(FARM, 'SubmitRender', messages);
      const cases: { name: string; call: () => Promise<unknown>; code: number; farm: string }[] = [
        { name: 'without spec', call: () => upload(pieces(wav)), code: 3, farm: 'request_invalid' },
        { name: 'without anything', call: () => upload([]), code: 3, farm: 'request_invalid' },
        { name: 'with two specs', call: () => upload([{ spec: {} }, { spec: {} }]), code: 3, farm: 'request_invalid' },
        { name: 'without sound', call: () => upload([{ spec: { model_id: 'small' } }]), code: 3, farm: 'audio_empty' },
        {
          name: 'when the file is too large',
          call: () => submit({}, Buffer.alloc(2 ** 20 + 1)),
          code: 3,
          farm: 'upload_too_large',
        },
        {
          name: 'with a quality out of range',
          call: () => submit({ jpeg_quality: 101 }),
          code: 3,
          farm: 'request_invalid',
        },
        { name: 'of an unknown model', call: () => submit({ model_id: 'nobody' }), code: 5, farm: 'model_unknown' },
        { name: 'when asked for by a wrong id', call: () => get('r0-00'), code: 5, farm: 'render_unknown' },
        { name: 'when watched by a wrong id', call: () => watch('r0-00'), code: 5, farm: 'render_unknown' },
        { name: 'when cancelled by a wrong id', call: () => cancel('r0-00'), code: 5, farm: 'render_unknown' },
      ];
      for (const { name, call, code, farm: expected } of cases) {
        it(name, async () => {
          const error = await failureOf(call());
          assert.deepEqual([error.code, farmCode(error)], [code, expected], error.message);
        });
      }
    });
  });
}

function pieces(file: Buffer): { audio: Buffer }[] {
  return Array.from({ length: Math.ceil(file.length / PIECE) }, (_, index) => ({
    audio: file.subarray(index * PIECE, (index + 1) * PIECE),
  }));
}
