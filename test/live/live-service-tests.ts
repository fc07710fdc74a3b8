import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ANYBODY } from '../../api/access/caller.ts';
import { readyFrames } from '../../api/live/audio-context.ts';
import { type InferRequest, LiveService } from '../../api/live/live.ts';
import type { LiveStream, StreamedFrame } from '../../api/live/live-stream.ts';
import type { StreamOptions } from '../../api/live/stream-open.ts';
import { VisualInputs } from '../../api/live/visual-inputs.ts';
import { Models } from '../../api/models.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { QueueClients } from '../../shared/jobs/queues.ts';
import { producerConnection, waitUntilReady, workerConnection } from '../../shared/redis/connections.ts';
import { FEATURE_ROWS_AFTER } from '../../shared/sound/rates.ts';
import type { TestFarm } from '../support/farm.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { faceBrightness, SMALL_PICTURES } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { until } from '../support/until.ts';

const SECONDS = 2;
const SAMPLES_OF_FIVE_FRAMES = 5 * 640;
/** A frame hears this many frames of the sound before it, and after it. */
const FRAMES_HEARD = 10;
const OPEN: StreamOptions = {
  modelId: 'small',
  sampleRateHz: 16_000,
  startFrameIndex: 0,
  output: 'jpeg',
  jpegQuality: 75,
  latency: 'exact',
  fillGapsAfterMs: 0,
  catchUp: 'keep',
};
const NEVER = new AbortController().signal;

/** Tests of the front end's live work on a farm with the small avatar. */
export function describeLiveService(farm: TestFarm): void {
  describe('live work', () => {
    let newService: () => LiveService;
    let service: LiveService;
    let redis: ReturnType<typeof producerConnection>;
    let queues: QueueClients;
    let whole: Buffer[];
    const sound = syllables(SECONDS).map((sample) => Math.round(sample * 32_767) / 32_768);

    before(async () => {
      const configPath = path.join(farm.folder, 'config.yaml');
      const config = loadConfig(configPath, { redisUrl: undefined, configPath: undefined, overrides: new Map() });
      redis = producerConnection(farm.farm.redisUrl);
      await waitUntilReady(redis, 5000);
      const openReader = () => workerConnection(farm.farm.redisUrl);
      queues = new QueueClients(redis);
      const tools = { config, redis, queues, openReader, log: QUIET_LOG };
      newService = () => new LiveService({ ...tools, models: new Models(config, redis) });
      service = newService();
      await service.listen();
      whole = await wholeRender(farm);
    });
    after(async () => {
      await service.close();
      await queues.close();
      redis.disconnect();
    });

    it('gives the first frames of a clip to a single request', async () => {
      const request: InferRequest = {
        ...{ modelId: 'small', frameCount: 24, startFrameIndex: 0, audio: sound, sampleRateHz: 16_000 },
        ...{
          visualFrames: new VisualInputs(0),
          audioFeatures: Buffer.alloc(0),
          output: 'jpeg' as const,
          jpegQuality: 75,
        },
      };
      const { frames, summary } = await service.infer(request, NEVER);
      assert.equal(frames.length, 24);
      assertSame(frames, whole);
      assert.equal(summary.gpuId, 0);
      assert.ok(summary.inferenceMs > 0);
    });

    for (const seed of [1, 2]) {
      it(`streams the frames of a whole render however the sound is cut (seed ${seed})`, async () => {
        const frames = await streamed(service, OPEN, cut(sound, seed));
        assert.deepEqual(
          frames.map(({ frameIndex, timeMs }) => [frameIndex, timeMs]),
          whole.map((_, index) => [index, index * 40]),
        );
        assertSame(
          frames.map(({ data }) => data),
          whole,
        );
      });
    }

    it('waits for less of the sound in low-latency mode, and gives as many frames', async () => {
      const stream = await service.openStream({ ...OPEN, latency: 'low' }, ANYBODY, NEVER);
      assert.equal(stream.algorithmicLatencyMs, 250);
      stream.end();
      const frames = await streamed(service, { ...OPEN, latency: 'low' }, cut(sound, 4));
      assert.equal(frames.length, whole.length);
    });

    it('closes the mouth and keeps the face alive while no sound comes', async () => {
      const stream = await service.openStream({ ...OPEN, fillGapsAfterMs: 50 }, ANYBODY, NEVER);
      await stream.write(sound.subarray(0, SAMPLES_OF_FIVE_FRAMES));
      const frames: Buffer[] = [];
      for await (const { data } of framesOf(stream)) if (frames.push(data) === 40) stream.end();
      const brightness = await Promise.all(frames.map(faceBrightness));
      assert.ok(Math.min(...brightness.slice(0, 5)) > 8, `the mouth is open at first: ${brightness}`);
      const silentFrom = 5 + FRAMES_HEARD;
      assert.ok(Math.max(...brightness.slice(silentFrom).map(Math.abs)) < 1, `and closed in the end: ${brightness}`);
      const silent = frames.slice(silentFrom).map((jpeg) => jpeg.toString('base64'));
      assert.equal(new Set(silent).size, SMALL_PICTURES, 'all pictures of the avatar are shown');
    });

    it('puts no silence in while sound that came at once is not over yet', async () => {
      const stream = await service.openStream({ ...OPEN, fillGapsAfterMs: 1 }, ANYBODY, NEVER);
      await stream.write(sound);
      const frames: Buffer[] = [];
      for await (const { data } of framesOf(stream)) if (frames.push(data) === 5) stream.end();
      assert.equal(frames.length, whole.length);
      assertSame(frames, whole);
    });

    it('counts the latency of a frame from when its sound was complete, not from when it was asked for', async () => {
      const frames = await streamed(service, OPEN, [sound]);
      // All frames but those that wait for the end were complete at the same moment.
      const latencies = frames
        .slice(0, readyFrames(sound.length, { rowsAhead: FEATURE_ROWS_AFTER }))
        .map(({ latencyMs }) => latencyMs);
      assert.deepEqual(
        latencies,
        latencies.toSorted((a, b) => a - b),
      );
    });

    for (const [stopAt, sampleRateHz] of [
      [5, 16_000],
      [20, 48_000],
    ] as const) {
      it(`drops what is queued when it is interrupted, and goes on from there (frame ${stopAt})`, async () => {
        const stream = await service.openStream({ ...OPEN, sampleRateHz }, ANYBODY, NEVER);
        const repeats = sampleRateHz / 16_000;
        await stream.write(stretched(sound, repeats));
        const other = sound.toReversed();
        const frames: Buffer[] = [];
        const stops: number[] = [];
        for await (const output of stream.outputs()) {
          if ('stoppedAt' in output) {
            stops.push(output.stoppedAt);
            assert.equal(frames.length, stopAt);
            await stream.write(stretched(other, repeats));
            stream.end();
          } else {
            assert.equal(output.frameIndex, frames.length);
            if (frames.push(output.data) === stopAt) stream.interrupt();
          }
        }
        assert.deepEqual(stops, [stopAt]);
        // The frames are those of the sound that was heard: the first one up to the frame it stopped at, then the other.
        const heard = Float32Array.from([...sound.subarray(0, stopAt * 640), ...other]);
        const expected = await streamed(service, OPEN, [heard]);
        assert.equal(frames.length, expected.length);
        // Resampled sound differs a little from what it was stretched from.
        if (repeats > 1) return;
        const pictures = expected.map(({ data }) => data);
        assertSame(frames.slice(stopAt), pictures.slice(stopAt));
      });
    }

    it('ends at once when it is interrupted after the end of its sound', async () => {
      const stream = await service.openStream(OPEN, ANYBODY, NEVER);
      await stream.write(sound);
      stream.end();
      const indices: number[] = [];
      for await (const output of stream.outputs()) {
        if ('stoppedAt' in output) assert.equal(output.stoppedAt, 3);
        else if (indices.push(output.frameIndex) === 3) stream.interrupt();
      }
      assert.deepEqual(indices, [0, 1, 2]);
    });

    it('ends with no frames when no sound came', async () => {
      assert.deepEqual(await streamed(service, OPEN, []), []);
    });

    it('stops when it is cancelled, and leaves nothing behind', async () => {
      const abort = new AbortController();
      const stream = await service.openStream(OPEN, ANYBODY, abort.signal);
      await stream.write(sound);
      await assert.rejects(
        async () => {
          for await (const _ of framesOf(stream)) abort.abort();
        },
        { code: 'request_cancelled' },
      );
      await until('its keys are gone', async () => (await redis.keys('{farm}:live:*')).length === 0);
    });

    it('leaves nothing behind when its reader goes away in the middle', async () => {
      const stream = await service.openStream(OPEN, ANYBODY, NEVER);
      await stream.write(sound);
      for await (const { frameIndex } of framesOf(stream)) if (frameIndex === 3) break;
      await until('its keys are gone', async () => (await redis.keys('{farm}:live:*')).length === 0);
    });

    it('keeps in Redis what waits there for a reader that stalls, however long', async (t) => {
      // It lets no worker connect, so that its frames come over Redis.
      const overRedis = newService();
      t.after(() => overRedis.close());
      t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
      const stream = await overRedis.openStream(OPEN, ANYBODY, NEVER);
      await stream.write(sound);
      stream.end();
      const frames = framesOf(stream);
      await frames.next();
      const keys = await redis.keys('{farm}:live:*:in');
      assert.ok(keys.length > 0);
      for (const key of keys) await redis.expire(key, 60);
      t.mock.timers.tick(30_000);
      for (const key of keys) await until('its time is renewed', async () => (await redis.ttl(key)) > 60);
      t.mock.timers.reset();
      assert.equal((await collect(frames)).length, whole.length - 1);
    });

    it('fails with a deadline when nobody can take it up, and leaves nothing behind', async () => {
      const config = loadConfig(path.join(farm.folder, 'config.yaml'), {
        redisUrl: undefined,
        configPath: undefined,
        overrides: new Map([['FARM_LIMITS__LIVE_WAIT_SECONDS', '1']]),
      });
      // Of this model's GPU there is no worker: the configuration of the workers does not have it.
      const models = new Map([...config.models, ['ghost', { ...config.models.get('small'), modelId: 'ghost' }]]);
      const lonely = new LiveService({
        config: { ...config, models } as typeof config,
        ...{ redis, queues, log: QUIET_LOG },
        models: new Models({ ...config, models } as typeof config, redis),
        openReader: () => workerConnection(farm.farm.redisUrl),
      });
      const stream = await lonely.openStream({ ...OPEN, modelId: 'ghost' }, ANYBODY, NEVER);
      await stream.write(sound);
      stream.end();
      await assert.rejects(collect(framesOf(stream)), { code: 'deadline_exceeded' });
      await lonely.close();
      await until('its keys are gone', async () => (await redis.keys('{farm}:live:*')).length === 0);
    });

    it('goes on when the worker is killed in mid-stream', async (t) => {
      const stream = await service.openStream(OPEN, ANYBODY, NEVER);
      await stream.write(sound);
      stream.end();
      const frames: StreamedFrame[] = [];
      let [lastAtMs, longestGapMs] = [performance.now(), 0];
      for await (const frame of framesOf(stream)) {
        longestGapMs = Math.max(longestGapMs, performance.now() - lastAtMs);
        lastAtMs = performance.now();
        if (frames.push(frame) === 5) farm.kill('gpu-0');
      }
      t.diagnostic(`the stream stood still for ${Math.round(longestGapMs)} ms`);
      assert.equal(frames.length, whole.length);
      assertSame(
        frames.map(({ data }) => data),
        whole,
      );
    });
  });
}

function assertSame(frames: readonly Buffer[], expected: readonly Buffer[]): void {
  for (const [index, frame] of frames.entries()) assert.ok(frame.equals(expected[index] as Buffer), `frame ${index}`);
}

async function wholeRender({ client, folder }: TestFarm): Promise<Buffer[]> {
  const speech = path.join(folder, 'speech.wav');
  await writeWav(speech, syllables(SECONDS));
  const { id } = await client.submit(speech, { modelId: 'small', output: 'frames' });
  const { frames } = await client.finished(id);
  return await Promise.all(Array.from({ length: frames.total ?? 0 }, (_, index) => client.frame(id, index)));
}

async function streamed(
  service: LiveService,
  options: StreamOptions,
  pieces: Float32Array[],
): Promise<StreamedFrame[]> {
  const stream = await service.openStream(options, ANYBODY, NEVER);
  const written = (async () => {
    for (const piece of pieces) await stream.write(piece);
    stream.end();
  })();
  const frames = await collect(framesOf(stream));
  await written;
  return frames;
}

/** What a stream that nobody interrupts gives. */
async function* framesOf(stream: LiveStream): AsyncGenerator<StreamedFrame> {
  for await (const output of stream.outputs()) {
    assert.ok(!('stoppedAt' in output));
    yield output;
  }
}

/** Each sample `times` times. */
function stretched(samples: Float32Array, times: number): Float32Array {
  return Float32Array.from({ length: samples.length * times }, (_, index) => samples[Math.floor(index / times)] ?? 0);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** The sound in pieces of 1 to 4000 samples, the same for the same seed. */
function cut(sound: Float32Array, seed: number): Float32Array[] {
  const pieces: Float32Array[] = [];
  let state = seed;
  for (let at = 0; at < sound.length; ) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    const size = 1 + (state % 4000);
    pieces.push(sound.subarray(at, at + size));
    at += size;
  }
  return pieces;
}
