import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import type { Render } from '../../api/grpc/messages/farm.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { FARM, TestClient } from '../grpc/clients.ts';
import { ffmpeg } from '../media/media-files.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { videoHash } from '../support/result-files.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { type StandInTools, standInTools } from '../support/tools.ts';
import { until } from '../support/until.ts';

/** One try only: whatever goes on after a fault does so because the fault was the farm's. */
const SETTINGS = { models: { small: SMALL_MODEL }, render: { attempts: 1, segment_frames: 20 } };

describe('a render whose farm is at fault, at other steps', () => {
  let farm: TestFarm;
  let tools: StandInTools;
  let folder: string;
  let speech: string;
  let undisturbed: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-test-faults-'));
    tools = await standInTools(path.join(folder, 'bin'));
    const before = process.env.PATH;
    process.env.PATH = tools.path;
    farm = await startFarm(SETTINGS);
    process.env.PATH = before;
    // Of a format that the farm does not read by itself.
    speech = path.join(folder, 'speech.flac');
    await writeWav(path.join(folder, 'speech.wav'), syllables(1.2));
    await ffmpeg('-i', path.join(folder, 'speech.wav'), speech);
    undisturbed = await videoHash(farm.client, (await farm.client.submit(speech)).id);
  });
  afterEach(async () => await tools.restore());
  after(async () => {
    await farm[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  const waits = async (id: string): Promise<RenderView> => {
    await until('the render waits', async () => (await farm.client.get(id)).waiting !== null);
    return await farm.client.get(id);
  };

  const KILLED: [step: string, output: 'mp4' | 'webm', script: string, status: string][] = [
    ['decoding', 'mp4', 'case "$*" in *f32le*) kill -9 $$;; esac; exec "$REAL" "$@"', 'preparing'],
    ['encoding', 'mp4', 'case "$*" in *libx264*) kill -9 $$;; esac; exec "$REAL" "$@"', 'rendering'],
    // An MP4 is joined without ffmpeg.
    [
      'joining',
      'webm',
      'case "$*" in *concat*) echo "No space left on device" >&2; exit 1;; esac; exec "$REAL" "$@"',
      'stitching',
    ],
  ];
  for (const [step, output, script, status] of KILLED) {
    it(`waits while ffmpeg fails at ${step}, says so, and gives the same video once it works`, async () => {
      const expected =
        output === 'mp4'
          ? undisturbed
          : await videoHash(farm.client, (await farm.client.submit(speech, { output })).id);
      await tools.replace('ffmpeg', script);
      const { id } = await farm.client.submit(speech, { output });
      const view = await waits(id);
      assert.equal(view.status, status);
      assert.equal(view.waiting?.code, step === 'joining' ? 'storage_full' : 'tool_failed');
      assert.ok((view.waiting?.next_try_at ?? '') > (view.waiting?.since ?? ''));
      const client = new TestClient(farm.grpcAddress);
      const { waiting } = (await client.unary(FARM, 'GetRender', { render_id: id })) as unknown as Render;
      client.close();
      assert.equal(waiting?.code, view.waiting?.code);
      await tools.restore();
      assert.equal(await videoHash(farm.client, id), expected);
      assert.equal((await farm.client.get(id)).waiting, null);
    });
  }

  it('is retried once, however often and at once that is asked for', async () => {
    await tools.replace('ffmpeg', 'case "$*" in *000001.*) echo "x: broken" >&2; exit 1;; esac; exec "$REAL" "$@"');
    const { id } = await farm.client.submit(speech);
    await assert.rejects(farm.client.finished(id), { code: 'encode_failed' });
    await tools.restore();
    const answers = await Promise.all([farm.client.retry(id), farm.client.retry(id)]);
    for (const { status, error } of answers) assert.deepEqual([status === 'failed', error], [false, null]);
    assert.equal(await videoHash(farm.client, id), undisturbed);
  });

  it('that failed before it was planned is retried from its upload, and is not when that is gone', async () => {
    await tools.replace('ffprobe', 'echo "x: Invalid data found" >&2; exit 1');
    const [kept, lost] = [await farm.client.submit(speech), await farm.client.submit(speech)];
    for (const { id } of [kept, lost]) await assert.rejects(farm.client.finished(id), { code: 'audio_unreadable' });
    await tools.restore();
    await rm(path.join(farm.folder, 'data/renders', lost.id, 'upload'));
    await assert.rejects(farm.client.retry(lost.id), { code: 'render_not_resumable' });
    const client = new TestClient(farm.grpcAddress);
    const { status } = (await client.unary(FARM, 'RetryRender', { render_id: kept.id })) as unknown as Render;
    client.close();
    assert.notEqual(status, 'FAILED');
    assert.equal(await videoHash(farm.client, kept.id), undisturbed);
  });

  it('is not failed by a Redis that is out of memory, and the front end answers 503 meanwhile', async () => {
    const redis = workerConnection(farm.farm.redisUrl);
    const { id } = await farm.client.submit(speech);
    await redis.config('SET', 'maxmemory', '1mb');
    try {
      const body = new FormData();
      body.set('audio', new Blob([await readFile(speech)]), 'speech.wav');
      const refused = await fetch(`${farm.url}/v1/renders`, { method: 'POST', body });
      const { error } = (await refused.json()) as { error: { code: string; message: string } };
      assert.deepEqual([refused.status, error.code], [503, 'redis_unavailable']);
      assert.match(error.message, /OOM/);
      assert.ok(Number(refused.headers.get('retry-after')) > 0);
      assert.notEqual((await farm.client.get(id)).status, 'failed');
    } finally {
      await redis.config('SET', 'maxmemory', '0');
      redis.disconnect();
    }
    assert.equal(await videoHash(farm.client, id), undisturbed);
  });
});
