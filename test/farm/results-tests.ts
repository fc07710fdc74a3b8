import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { isDeepStrictEqual, promisify } from 'node:util';
import sharp from 'sharp';
import type { TestFarm } from '../support/farm.ts';
import { inspectVideo, topLevelBoxes } from '../support/ffprobe.ts';
import { RESULT_FILES } from '../support/result-files.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);

export function describeResults(farm: TestFarm): void {
  describe('renders over HTTP', () => {
    let speech = '';
    /** For tests that do not look at the pictures. */
    let blip = '';
    /** Of the spoken file, with the demo avatar. */
    let spokenId = '';
    let spokenAtMs = 0;
    const inFolder = (name: string) => path.join(farm.folder, name);

    before(async () => {
      speech = inFolder('speech.wav');
      await writeWav(speech, syllables(1.5));
      blip = inFolder('blip.wav');
      await writeWav(blip, syllables(0.2));
      spokenAtMs = Date.now();
      spokenId = (await farm.client.submit(speech, { modelId: 'demo' })).id;
    });

    it('turn a spoken file into a video that any player takes', async () => {
      const view = await farm.client.finished(spokenId);
      assert.equal(view.status, 'completed');
      assert.deepEqual(view.frames, { done: 38, repeating: 0, total: 38 });
      assert.ok((view.timings_ms.stages?.inference ?? 0) > 0);
      const file = inFolder('video.mp4');
      await farm.client.saveVideo(spokenId, file);
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
      const { id } = await farm.client.submit(speech, { modelId: 'small' });
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
      const network = receipt.model_files.find((file) => file.path === SMALL_MODEL.model_path);
      assert.equal(network?.sha256, sha256(await readFile(SMALL_MODEL.model_path)));
    });

    it('are looked at: the receipt has numbers of mouth, seam and silence, and links to pictures of it', async () => {
      const { links } = await farm.client.finished(spokenId);
      const { quality, pictures, segments } = await farm.client.receipt(spokenId);
      assert.ok((quality?.mouth.correlation ?? 0) >= 0.7, JSON.stringify(quality));
      assert.ok(
        Math.abs(quality?.mouth.lag_frames ?? 9) <= 1 && (quality?.seam.added ?? 9) < 1,
        JSON.stringify(quality),
      );
      assert.deepEqual(quality?.findings, []);
      const startedAtMs = Date.parse(segments[0]?.started_at ?? '');
      assert.ok(startedAtMs >= spokenAtMs && startedAtMs <= Date.now(), `${startedAtMs} after ${spokenAtMs}`);
      const { contact_sheet, waveform, waterfall } = links;
      assert.deepEqual(pictures, { contact_sheet, waveform, waterfall });
      const sheet = await fetch(`${farm.url}${contact_sheet}`);
      const { format, width } = await sharp(await sheet.arrayBuffer()).metadata();
      assert.deepEqual([sheet.headers.get('content-type'), format, width], ['image/jpeg', 'jpeg', 336]);
      for (const [path, words] of [
        [waveform, 'in step'],
        [waterfall, 'segment 0: network'],
      ] as const) {
        const drawing = await fetch(`${farm.url}${path}`);
        assert.equal(drawing.headers.get('content-type'), 'image/svg+xml');
        const text = await drawing.text();
        assert.ok(text.includes(words) && text.includes('<title') && text.includes('<desc'), text.slice(0, 900));
      }
    });

    it('leave nothing on disk but the result', async () => {
      const { id } = await farm.client.submit(blip, { modelId: 'small' });
      await farm.client.finished(id);
      const folder = path.join(farm.folder, 'data/renders', id);
      // Some seconds later: Redis has surely stored by then that the render is completed.
      await until('nothing but the result is left', async () => {
        const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) =>
          entry.isFile(),
        );
        return isDeepStrictEqual(files.map(({ name }) => name).sort(), RESULT_FILES);
      });
      await farm.client.remove(id);
      assert.equal(existsSync(folder), false);
      await assert.rejects(farm.client.get(id), { code: 'render_unknown' });
    });

    it('give single frames as JPEG in the quality asked for', async () => {
      const options = { modelId: 'demo', output: 'frames', startFrame: 7 } as const;
      const { id } = await farm.client.submit(blip, { ...options, jpegQuality: 90 });
      const rough = await farm.client.submit(blip, { ...options, jpegQuality: 20 });
      await Promise.all([farm.client.finished(id), farm.client.finished(rough.id)]);
      const [fine, coarse] = await Promise.all([farm.client.frame(id, 4), farm.client.frame(rough.id, 4)]);
      const { format, width, height } = await sharp(fine).metadata();
      assert.deepEqual({ format, width, height }, { format: 'jpeg', width: 1280, height: 720 });
      assert.ok(coarse.length < fine.length / 2);
      await assert.rejects(farm.client.frame(id, 5), { code: 'frame_unknown' });
      const video = await fetch(`${farm.url}/v1/renders/${id}/video`);
      assert.equal((await bodyOf(video)).error.code, 'output_not_kept');
    });

    it('stop when they are cancelled, and leave the GPU free', async () => {
      const long = inFolder('long.wav');
      await writeWav(long, syllables(20));
      const { id } = await farm.client.submit(long, { modelId: 'demo' });
      for await (const view of farm.client.watch(id)) if (view.frames.done > 0) break;
      await farm.client.cancel(id);
      const cancelled = await farm.client.get(id);
      assert.equal(cancelled.status, 'cancelled');
      const next = await farm.client.submit(blip, { modelId: 'small', output: 'frames' });
      await farm.client.finished(next.id);
      const after = await farm.client.get(id);
      assert.equal(after.frames.done, cancelled.frames.done, 'no frame was reported after the cancellation');
      // The job that stops last removes what it has written meanwhile.
      await until('its files are gone', () => !existsSync(path.join(farm.folder, 'data/renders', id)));
      await farm.client.remove(id);
      await assert.rejects(farm.client.get(id), { code: 'render_unknown' });
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
          const { id } = await farm.client.submit(await file(), { modelId: 'small' });
          await assert.rejects(farm.client.finished(id), { code });
          const { error } = await farm.client.get(id);
          assert.ok(error?.remedy.endsWith('.'));
          const video = await fetch(`${farm.url}/v1/renders/${id}/video`);
          assert.equal((await bodyOf(video)).error.code, 'render_failed');
        });
      }

      it('after all of them', async () => {
        const { id } = await farm.client.submit(blip, { modelId: 'small' });
        assert.equal((await farm.client.finished(id)).status, 'completed');
      });
    });

    it('make one frame of a twentieth of a second', async () => {
      const twentieth = inFolder('twentieth.wav');
      await writeWav(twentieth, syllables(0.05));
      const { id } = await farm.client.submit(twentieth, { modelId: 'small' });
      assert.deepEqual((await farm.client.finished(id)).frames, { done: 1, repeating: 0, total: 1 });
    });

    it('show every queue with readable jobs on the dashboard', async () => {
      const { id } = await farm.client.submit(blip, { modelId: 'small', output: 'frames' });
      await farm.client.finished(id);
      const page = await fetch(`${farm.url}/dashboard`);
      assert.equal(page.status, 200);
      assert.match(await page.text(), /Lipsync Farm/);
      const answer = await fetch(`${farm.url}/dashboard/api/queues?activeQueue=gpu-0&status=completed`);
      const { queues } = (await answer.json()) as {
        queues: { name: string; readOnlyMode: boolean; jobs: { name: string }[] }[];
      };
      assert.deepEqual(queues.map(({ name }) => name).sort(), ['gpu-0', 'media', 'media-long', 'webhooks']);
      assert.ok(queues.every(({ readOnlyMode }) => readOnlyMode));
      const [job] = queues.find(({ name }) => name === 'gpu-0')?.jobs ?? [];
      assert.match(job?.name ?? '', new RegExp(`^segment 1 of 1 · frames 0–4 · small · ${id}`));
    });

    it('say what the farm offers and whether it is ready', async () => {
      // A worker whose heartbeat is late is not there for a moment.
      const whatIsReady = { status: 'ready', gpus: [0], media_workers: 1, problems: [] };
      let said: unknown;
      const isReady = async () => {
        said = await (await fetch(`${farm.url}/readyz`)).json();
        return isDeepStrictEqual(said, whatIsReady);
      };
      await until('it is ready', isReady).finally(() => assert.deepEqual(said, whatIsReady));
      const { paths } = (await (await fetch(`${farm.url}/openapi.json`)).json()) as { paths: Record<string, unknown> };
      assert.ok('/v1/renders/{id}' in paths);
    });
  });
}

async function bodyOf(response: Response): Promise<{ error: { code: string; message: string; remedy: string } }> {
  return (await response.json()) as { error: { code: string; message: string; remedy: string } };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
