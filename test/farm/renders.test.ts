import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import sharp from 'sharp';
import type { RenderView } from '../../shared/views/render-view.ts';
import { DEMO_MODEL, startFarm, type TestFarm } from '../support/farm.ts';
import { inspectVideo, topLevelBoxes } from '../support/ffprobe.ts';
import { syllables, writeWav } from '../support/sound.ts';

const run = promisify(execFile);
const QUEUE_SIZE = 3;

describe('renders over HTTP', () => {
  let farm: TestFarm;
  let speech = '';
  /** For tests that do not look at the pictures. */
  let blip = '';
  const inFolder = (name: string) => path.join(farm.folder, name);

  before(async () => {
    farm = await startFarm({
      models: { demo: DEMO_MODEL, old: { ...DEMO_MODEL, model_path: 'D:\\models\\best.onnx' } },
      server: { queue_size: QUEUE_SIZE },
      limits: { max_audio_minutes: 0.5, max_upload_mb: 4 },
    });
    speech = inFolder('speech.wav');
    await writeWav(speech, syllables(1.5));
    blip = inFolder('blip.wav');
    await writeWav(blip, syllables(0.2));
  });
  after(async () => await farm[Symbol.asyncDispose]());

  it('turn a spoken file into a video that any player takes', async () => {
    const { id } = await farm.client.submit(speech, { modelId: 'demo' });
    const view = await farm.client.finished(id);
    assert.equal(view.status, 'completed');
    assert.deepEqual(view.frames, { done: 38, total: 38 });
    assert.ok((view.timings_ms.stages?.inference ?? 0) > 0);
    const file = inFolder('video.mp4');
    await farm.client.saveVideo(id, file);
    const { video, audio, videoTimes, audioPackets } = await inspectVideo(file);
    assert.equal(video.codec_name, 'h264');
    assert.equal(video.pix_fmt, 'yuv420p');
    assert.equal(video.avg_frame_rate, '25/1');
    assert.deepEqual([video.width, video.height], [1280, 720]);
    assert.equal(audio.codec_name, 'aac');
    assert.deepEqual(
      videoTimes.map((time) => Math.round(time * 1000)),
      Array.from({ length: 38 }, (_, index) => index * 40),
    );
    const soundSeconds = (audioPackets * 1024) / Number(audio.sample_rate);
    assert.ok(Math.abs(soundSeconds - 38 / 25) <= 1 / 25, `${soundSeconds} s of sound`);
    const boxes = await topLevelBoxes(file);
    assert.ok(boxes.indexOf('moov') < boxes.indexOf('mdat'), boxes.join(' '));
  });

  it('leave a receipt that names frames, durations, model files, provider and segments', async () => {
    const { id } = await farm.client.submit(speech, { modelId: 'demo' });
    await farm.client.finished(id);
    const receipt = await farm.client.receipt(id);
    const video = Buffer.from(await (await fetch(`${farm.url}/v1/renders/${id}/video`)).arrayBuffer());
    assert.equal(receipt.frames, 38);
    assert.equal(receipt.video?.sha256, sha256(video));
    assert.equal(receipt.audio.sha256, sha256(await readFile(speech)));
    assert.ok(Math.abs(receipt.audio_minus_video_seconds ?? 1) <= 0.04);
    assert.deepEqual(receipt.providers, ['cpu']);
    assert.deepEqual(
      receipt.segments.map(({ frames }) => frames),
      [{ start: 0, end: 38 }],
    );
    const network = receipt.model_files.find((file) => file.path === DEMO_MODEL.model_path);
    assert.equal(network?.sha256, sha256(await readFile(DEMO_MODEL.model_path)));
  });

  it('leave nothing on disk but the result', async () => {
    const { id } = await farm.client.submit(blip, { modelId: 'demo' });
    await farm.client.finished(id);
    const folder = path.join(farm.folder, 'data/renders', id);
    const { stdout } = await run('find', [folder, '-type', 'f', '-printf', '%f\n']);
    assert.deepEqual(stdout.trim().split('\n').sort(), ['receipt.json', 'video.mp4']);
    await farm.client.remove(id);
    assert.equal(existsSync(folder), false);
    await assert.rejects(farm.client.get(id), { code: 'render_unknown' });
  });

  it('serve byte ranges of the video', async () => {
    const { id } = await farm.client.submit(blip, { modelId: 'demo' });
    await farm.client.finished(id);
    const url = `${farm.url}/v1/renders/${id}/video`;
    const whole = Buffer.from(await (await fetch(url)).arrayBuffer());
    const part = await fetch(url, { headers: { range: 'bytes=100-199' } });
    assert.equal(part.status, 206);
    assert.equal(part.headers.get('content-range'), `bytes 100-199/${whole.length}`);
    assert.deepEqual(Buffer.from(await part.arrayBuffer()), whole.subarray(100, 200));
    const tail = await fetch(url, { headers: { range: 'bytes=-10' } });
    assert.deepEqual(Buffer.from(await tail.arrayBuffer()), whole.subarray(-10));
    const outside = await fetch(url, { headers: { range: `bytes=${whole.length}-` } });
    assert.equal(outside.status, 416);
    assert.equal((await bodyOf(outside)).error.code, 'range_unsatisfiable');
    const head = await fetch(url, { method: 'HEAD' });
    assert.equal(Number(head.headers.get('content-length')), whole.length);
  });

  it('give single frames as JPEG in the quality asked for', async () => {
    const options = { modelId: 'demo', output: 'frames', startFrame: 7 } as const;
    const { id } = await farm.client.submit(speech, { ...options, jpegQuality: 90 });
    const rough = await farm.client.submit(speech, { ...options, jpegQuality: 20 });
    await Promise.all([farm.client.finished(id), farm.client.finished(rough.id)]);
    const [fine, coarse] = await Promise.all([farm.client.frame(id, 37), farm.client.frame(rough.id, 37)]);
    const { format, width, height } = await sharp(fine).metadata();
    assert.deepEqual({ format, width, height }, { format: 'jpeg', width: 1280, height: 720 });
    assert.ok(coarse.length < fine.length / 2);
    await assert.rejects(farm.client.frame(id, 38), { code: 'frame_unknown' });
    const video = await fetch(`${farm.url}/v1/renders/${id}/video`);
    assert.equal((await bodyOf(video)).error.code, 'output_not_kept');
  });

  it('are listed newest first, page by page', async () => {
    const ids: string[] = [];
    for (let count = 0; count < 3; count++) {
      const { id } = await farm.client.submit(blip, { modelId: 'demo' });
      ids.unshift(id);
    }
    const first = await farm.client.list(2);
    assert.deepEqual(
      first.renders.map(({ id }) => id),
      ids.slice(0, 2),
    );
    const second = (await (await fetch(`${farm.url}${first.next}`)).json()) as { renders: RenderView[] };
    assert.equal(second.renders[0]?.id, ids[2]);
    await Promise.all(ids.map((id) => farm.client.finished(id)));
  });

  it('are made once for the same Idempotency-Key', async () => {
    const options = { modelId: 'demo', idempotencyKey: 'order-17' };
    const [first, again] = await Promise.all([farm.client.submit(blip, options), farm.client.submit(blip, options)]);
    assert.equal(first.id, again.id);
    await assert.rejects(farm.client.submit(blip, { ...options, startFrame: 3 }), { code: 'idempotency_conflict' });
    await farm.client.finished(first.id);
    assert.equal((await farm.client.submit(blip, options)).id, first.id);
  });

  it('stop within a second of work when they are cancelled, and leave the GPU free', async () => {
    const long = inFolder('long.wav');
    await writeWav(long, syllables(20));
    const { id } = await farm.client.submit(long, { modelId: 'demo' });
    for await (const view of farm.client.watch(id)) if (view.frames.done > 0) break;
    await farm.client.remove(id);
    const cancelled = await farm.client.get(id);
    assert.equal(cancelled.status, 'cancelled');
    const next = await farm.client.submit(speech, { modelId: 'demo' });
    await farm.client.finished(next.id);
    const after = await farm.client.get(id);
    assert.equal(after.frames.done, cancelled.frames.done, 'no frame was reported after the cancellation');
    assert.equal(existsSync(path.join(farm.folder, 'data/renders', id)), false);
    await farm.client.remove(id);
    await assert.rejects(farm.client.get(id), { code: 'render_unknown' });
  });

  it('are refused with 429 and Retry-After while the queue is full', async () => {
    const taken = await Promise.all(
      Array.from({ length: QUEUE_SIZE }, () => farm.client.submit(speech, { modelId: 'demo' })),
    );
    const refused = await submitForm(farm.url, { audio: await readFile(speech), model_id: 'demo' });
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    assert.equal((await bodyOf(refused)).error.code, 'queue_full');
    await Promise.all(taken.map(({ id }) => farm.client.finished(id)));
    const { id } = await farm.client.submit(speech, { modelId: 'demo' });
    await farm.client.finished(id);
  });

  describe('refuse bad requests with a code and a remedy', () => {
    const cases: {
      name: string;
      form: () => Promise<Record<string, string | Buffer>>;
      status: number;
      code: string;
    }[] = [
      { name: 'no file', form: async () => ({ model_id: 'demo' }), status: 400, code: 'upload_missing' },
      {
        name: 'an empty file',
        form: async () => ({ audio: Buffer.alloc(0), model_id: 'demo' }),
        status: 422,
        code: 'audio_empty',
      },
      {
        name: 'a file over the limit',
        form: async () => ({ audio: Buffer.alloc(5 * 2 ** 20), model_id: 'demo' }),
        status: 413,
        code: 'upload_too_large',
      },
      {
        name: 'an unknown model',
        form: async () => ({ audio: await readFile(speech), model_id: 'nobody' }),
        status: 404,
        code: 'model_unknown',
      },
      {
        name: 'a model whose paths cannot be used here',
        form: async () => ({ audio: await readFile(speech), model_id: 'old' }),
        status: 422,
        code: 'model_unusable',
      },
      {
        name: 'another frame rate',
        form: async () => ({ audio: await readFile(speech), model_id: 'demo', fps: '30' }),
        status: 400,
        code: 'request_invalid',
      },
      {
        name: 'an unknown field',
        form: async () => ({ audio: await readFile(speech), model_id: 'demo', colour: 'red' }),
        status: 400,
        code: 'request_invalid',
      },
    ];
    for (const { name, form, status, code } of cases) {
      it(name, async () => {
        const response = await submitForm(farm.url, await form());
        const { error } = await bodyOf(response);
        assert.equal(response.status, status, error.message);
        assert.equal(error.code, code);
        assert.ok(error.message.length > 10 && error.remedy.endsWith('.'));
      });
    }

    it('a body that is no form', async () => {
      const response = await fetch(`${farm.url}/v1/renders`, { method: 'POST', body: 'hello' });
      assert.equal((await bodyOf(response)).error.code, 'upload_missing');
    });

    it('a render that does not exist, a path that does not exist', async () => {
      const render = await fetch(`${farm.url}/v1/renders/r0-00`);
      assert.equal((await bodyOf(render)).error.code, 'render_unknown');
      const nothing = await fetch(`${farm.url}/v2/renders`);
      assert.equal((await bodyOf(nothing)).error.code, 'not_found');
    });

    it('and leave no upload behind', async () => {
      const page = await farm.client.list(100);
      const folders = await readdir(path.join(farm.folder, 'data/renders'));
      const known = new Set(page.renders.map(({ id }) => id));
      assert.deepEqual(
        folders.filter((id) => !known.has(id)),
        [],
      );
    });
  });

  describe('fail with a code and a remedy, and the next render works', () => {
    const make = async (name: string, args: string[]) => {
      await run('ffmpeg', ['-v', 'error', '-y', ...args, inFolder(name)]);
      return inFolder(name);
    };
    const cases: { name: string; file: () => Promise<string>; code: string }[] = [
      {
        name: 'something that is not audio',
        file: async () => {
          await writeFile(inFolder('text.wav'), 'once upon a time there was no sound\n'.repeat(50));
          return inFolder('text.wav');
        },
        code: 'audio_unreadable',
      },
      {
        name: 'a video without sound',
        file: async () => await make('mute.mp4', ['-f', 'lavfi', '-i', 'testsrc=d=1:s=64x64']),
        code: 'audio_no_stream',
      },
      {
        name: 'audio over the limit of duration',
        file: async () => await make('long.mp3', ['-f', 'lavfi', '-i', 'anullsrc=r=16000:cl=mono', '-t', '40']),
        code: 'audio_too_long',
      },
      {
        name: 'a playlist in the guise of audio',
        file: async () => {
          await writeFile(inFolder('list.wav'), `#EXTM3U\n#EXTINF:1,\nfile://${speech}\n#EXT-X-ENDLIST\n`);
          return inFolder('list.wav');
        },
        code: 'audio_unreadable',
      },
    ];
    for (const { name, file, code } of cases) {
      it(name, async () => {
        const { id } = await farm.client.submit(await file(), { modelId: 'demo' });
        await assert.rejects(farm.client.finished(id), { code });
        const { error } = await farm.client.get(id);
        assert.ok(error?.remedy.endsWith('.'));
        const video = await fetch(`${farm.url}/v1/renders/${id}/video`);
        assert.equal((await bodyOf(video)).error.code, 'render_failed');
      });
    }

    it('after all of them', async () => {
      const { id } = await farm.client.submit(speech, { modelId: 'demo' });
      assert.equal((await farm.client.finished(id)).status, 'completed');
    });
  });

  it('make one frame of a twentieth of a second', async () => {
    const twentieth = inFolder('twentieth.wav');
    await writeWav(twentieth, syllables(0.05));
    const { id } = await farm.client.submit(twentieth, { modelId: 'demo' });
    assert.deepEqual((await farm.client.finished(id)).frames, { done: 1, total: 1 });
  });

  it('show every queue with readable jobs on the dashboard', async () => {
    const page = await fetch(`${farm.url}/dashboard`);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /Lipsync Farm/);
    const answer = await fetch(`${farm.url}/dashboard/api/queues?activeQueue=gpu-0&status=completed`);
    const { queues } = (await answer.json()) as {
      queues: { name: string; readOnlyMode: boolean; jobs: { name: string }[] }[];
    };
    assert.deepEqual(queues.map(({ name }) => name).sort(), ['gpu-0', 'media', 'media-long']);
    assert.ok(queues.every(({ readOnlyMode }) => readOnlyMode));
    const [job] = queues.find(({ name }) => name === 'gpu-0')?.jobs ?? [];
    assert.match(job?.name ?? '', /^segment 1 of 1 · frames 0–\d+ · demo · r/);
  });

  it('say what the farm offers and whether it is ready', async () => {
    const ready = await fetch(`${farm.url}/readyz`);
    assert.deepEqual(await ready.json(), { status: 'ready', gpus: [0], media_workers: 1 });
    const { paths } = (await (await fetch(`${farm.url}/openapi.json`)).json()) as { paths: Record<string, unknown> };
    assert.ok('/v1/renders/{id}' in paths);
  });
});

async function submitForm(url: string, fields: Record<string, string | Buffer>): Promise<Response> {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') form.set(name, value);
    else form.set(name, new Blob([new Uint8Array(value)]), 'speech.wav');
  }
  return await fetch(`${url}/v1/renders`, { method: 'POST', body: form });
}

async function bodyOf(response: Response): Promise<{ error: { code: string; message: string; remedy: string } }> {
  return (await response.json()) as { error: { code: string; message: string; remedy: string } };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
