import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import type { Frame, Open, Opened, StreamRequest } from '../../api/grpc/messages/farm.ts';
import type { CompositeBatchResponse } from '../../api/grpc/messages/monolithic.ts';
import { readHeartbeats } from '../../shared/workers/heartbeat.ts';
import { LiveRequests } from '../engine/live-requests.ts';
import type { TestFarm } from '../support/farm.ts';
import { faceBrightness, SMALL_PICTURE, SMALL_PICTURES } from '../support/small-avatar.ts';
import { writeFloatWav } from '../support/sound.ts';
import { until } from '../support/until.ts';
import { type CallSettings, failureOf, farmCode, type Message, MONOLITHIC, send, TestClient } from './clients.ts';
import { differences, f32, renderedFrames, s16, speech } from './speech.ts';

const SECONDS = 2.4;
/** With ALL_RATES set two more are tried. */
const RATES = [22_050, 48_000, ...(process.env.ALL_RATES ? [8000, 44_100] : [])];
const FRAME_BYTES = SMALL_PICTURE.width * SMALL_PICTURE.height * 3;
/** A frame hears this many frames of the sound before it, and after it. */
const FRAMES_HEARD = 10;
/** Frames in which the mouths of silence and of speech are mixed, before a voice and after it. */
const FADES = 6;

/** Tests of `Stream` on the farm of `farm-calls.test.ts`. */
export function describeStream(farm: TestFarm): void {
  describe('FarmService.Stream', () => {
    let client: TestClient;
    /** Looks at the jobs and the keys of the streams. */
    let live: LiveRequests;
    let expected: Buffer[];

    before(async () => {
      client = new TestClient(farm.grpcAddress);
      live = new LiveRequests(farm.farm.redisUrl);
      expected = await renderedFrames(farm, SECONDS, { modelId: 'small' });
    });
    after(async () => {
      client.close();
      await live[Symbol.asyncDispose]();
    });

    const open = (settings: Partial<Open> = {}, call?: CallSettings): ClientDuplexStream<StreamRequest, Message> => {
      const stream = client.stream(call);
      stream.write({ open: { model_id: 'small', ...settings } as Open });
      return stream;
    };
    /** Sends sound in pieces, and returns the whole answer. */
    const converse = async (pieces: Iterable<Buffer>, settings: Partial<Open> = {}) => {
      const stream = open(settings);
      const answer = collect(stream);
      for (const audio of pieces) await send(stream, { audio });
      stream.end();
      return await answer;
    };

    /** Micro-batches of a model that its worker has rendered, each of up to 16 frames. */
    const batchesRendered = async (modelId: string) => {
      const models = (await readHeartbeats(live.redis)).flatMap(({ models }) => models);
      return models.find((model) => model.modelId === modelId)?.usage.requestCount ?? 0;
    };

    it('says when it is open, gives every frame with its time, and says when it has ended', async () => {
      const { opened, frames, ended } = await converse([f32(speech(SECONDS))]);
      assert.equal(opened?.frames_per_second, 25);
      assert.equal(opened?.sample_rate, 16_000);
      assert.ok((opened?.algorithmic_latency_ms ?? 0) > 100);
      assert.deepEqual(
        frames.map(({ frame_index, presentation_time_ms, gpu_id }) => [frame_index, presentation_time_ms, gpu_id]),
        expected.map((_, index) => [index, index * 40, 0]),
      );
      assert.deepEqual(ended, { frame_count: expected.length, skipped_frames: 0 });
      assert.deepEqual(differences(pictures(frames), expected), []);
    });

    it('gives 20 frames a second of a model that has them, beside one with 25, and either when it is asked for', async () => {
      const sound = [f32(speech(SECONDS))];
      const [slow, usual, asked] = await Promise.all([
        converse(sound, { model_id: 'slow' }),
        converse(sound),
        converse(sound, { model_id: 'slow', fps: 25 }),
      ]);
      assert.deepEqual(
        [slow, usual, asked].map(({ opened }) => opened?.frames_per_second),
        [20, 25, 25],
      );
      const moments = Array.from({ length: 20 * SECONDS }, (_, index) => expected[Math.floor(index * 1.25)] as Buffer);
      assert.deepEqual(
        slow.frames.map(({ presentation_time_ms }) => presentation_time_ms),
        moments.map((_, index) => index * 50),
      );
      assert.deepEqual(differences(pictures(slow.frames), moments), []);
      for (const { frames } of [usual, asked]) assert.deepEqual(differences(pictures(frames), expected), []);
      assert.deepEqual(differences(await renderedFrames(farm, SECONDS, { modelId: 'slow' }), moments), []);
      const batch = { model_id: 'slow', batch_size: 20, raw_audio: sound[0] };
      const answer = await client.unary<CompositeBatchResponse>(MONOLITHIC, 'InferBatchComposite', batch);
      assert.deepEqual(differences([...answer.composited_frames], moments.slice(0, 20)), []);
    });

    for (const seed of [1, 2]) {
      it(`gives the frames of a whole render however the sound is cut (seed ${seed}), also inside a sample`, async () => {
        const float = await converse(cutAtRandom(f32(speech(SECONDS)), seed, 20_000));
        assert.deepEqual(differences(pictures(float.frames), expected), []);
        const integer = await converse(cutAtRandom(s16(speech(SECONDS)), seed, 9000), { sample_format: 'S16LE' });
        assert.deepEqual(differences(pictures(integer.frames), expected), []);
      });
    }

    // The demo avatar's mouth shows differences in sound that the small avatar's face does not.
    for (const [seed, sample_rate] of RATES.entries()) {
      it(`gives the frames of a whole render at ${sample_rate} Hz too, and so does a single request`, async () => {
        const seconds = 0.56;
        const rendered = await renderedFrames(farm, seconds, { modelId: 'demo' }, sample_rate);
        const sound = f32(speech(seconds, sample_rate));
        const { frames } = await converse(cutAtRandom(sound, seed, 30_000), { model_id: 'demo', sample_rate });
        assert.deepEqual(differences(pictures(frames), rendered), []);
        const batch = { model_id: 'demo', batch_size: 14, raw_audio: sound, sample_rate };
        const answer = await client.unary<CompositeBatchResponse>(MONOLITHIC, 'InferBatchComposite', batch);
        assert.deepEqual(differences([...answer.composited_frames], rendered), []);
      });
    }

    it('gives the frames of a whole render with the same walk over the pictures', async () => {
      const rendered = await renderedFrames(farm, 0.8, { modelId: 'small', backgroundMode: 'loop', startFrame: 2 });
      const { frames } = await converse([f32(speech(0.8))], { background_mode: 'LOOP', start_frame_idx: 2 });
      assert.deepEqual(differences(pictures(frames), rendered), []);
      const usual = await converse([f32(speech(0.8))], { start_frame_idx: 2 });
      assert.equal(differences(pictures(usual.frames), rendered)[0], SMALL_PICTURES - 2);
    });

    describe('with a silence gate', () => {
      /** Speech with a second of hum before it and after it, at −57 dB. */
      const sound = new Float32Array(2.4 * 16_000).map((_, at) => 0.002 * Math.sin(at));
      sound.set(speech(0.4), 16_000);
      const gated = { silence_gate: 'GATE_ON' } as const;
      let rendered: Buffer[];
      let inSilence: number;

      before(async () => {
        const upload = path.join(farm.folder, 'hum.wav');
        await writeFloatWav(upload, sound);
        const { id } = await farm.client.submit(upload, { modelId: 'small', output: 'frames', silenceGate: true });
        await farm.client.finished(id);
        rendered = await Promise.all(Array.from({ length: 60 }, (_, index) => farm.client.frame(id, index)));
        inSilence = (await farm.client.receipt(id)).silence_gate?.frames ?? 0;
      });

      it('gives the frames of a whole render with one, however the sound is cut', async () => {
        const { frames } = await converse(cutAtRandom(f32(sound), 3, 9000), gated);
        assert.deepEqual(differences(pictures(frames), rendered), []);
      });
      it('shows the mouth of silence while nobody speaks, and the mouth that it shows without one while somebody does', async () => {
        const plain = pictures((await converse([f32(sound)], { silence_gate: 'GATE_OFF' })).frames);
        const hush = pictures((await converse([f32(new Float32Array(sound.length))])).frames);
        assert.ok(inSilence >= 30, `${inSilence} frames in silence`);
        assert.equal(60 - differences(rendered, hush).length, inSilence);
        const asWithout = 60 - differences(rendered, plain).length;
        assert.ok(asWithout >= 60 - inSilence - FADES, `${asWithout} frames as without a gate`);
      });
      it('is silent in the same frames with LOW latency', async () => {
        const { frames } = await converse([f32(sound)], { ...gated, latency: 'LOW' });
        const hush = pictures((await converse([f32(new Float32Array(sound.length))])).frames);
        assert.equal(60 - differences(pictures(frames), hush).length, inSilence);
      });
    });

    for (const [model_id, fps, latencyMs] of [
      ['hubert', 25, 645],
      ['wenet', 20, 515],
    ] as const) {
      it(`gives the frames of a whole render to a model that hears ${model_id}`, async () => {
        const rendered = await renderedFrames(farm, SECONDS, { modelId: model_id });
        assert.equal(rendered.length, SECONDS * fps);
        assert.ok(new Set(rendered.map(String)).size > rendered.length / 2, 'it hears what is said');
        const { opened, frames } = await converse(cutAtRandom(f32(speech(SECONDS)), 3, 20_000), { model_id });
        assert.deepEqual([opened?.frames_per_second, opened?.algorithmic_latency_ms], [fps, latencyMs]);
        assert.deepEqual(differences(pictures(frames), rendered), []);
        const batch = { model_id, batch_size: 18, raw_audio: f32(speech(SECONDS)), sample_rate: 16_000 };
        const answer = await client.unary<CompositeBatchResponse>(MONOLITHIC, 'InferBatchComposite', batch);
        assert.deepEqual(differences([...answer.composited_frames], rendered.slice(0, 18)), []);
      });
    }

    it('refuses a model whose frames need the whole sound, but gives it single requests', async () => {
      const error = await failureOf(converse([f32(speech(0.4))], { model_id: 'whole' }));
      assert.match(error.details, /hubert_chunks: short/);
      assert.equal(farmCode(error), 'request_invalid');
      const rendered = await renderedFrames(farm, SECONDS, { modelId: 'whole' });
      const batch = { model_id: 'whole', batch_size: 18, raw_audio: f32(speech(SECONDS)), sample_rate: 16_000 };
      const answer = await client.unary<CompositeBatchResponse>(MONOLITHIC, 'InferBatchComposite', batch);
      assert.deepEqual(differences([...answer.composited_frames], rendered.slice(0, 18)), []);
    });

    it('waits for less sound with LOW latency, and gives as many frames', async () => {
      const exact = await converse([f32(speech(0.4))]);
      const low = await converse([f32(speech(0.4))], { latency: 'LOW' });
      assert.ok((low.opened?.algorithmic_latency_ms ?? 0) < (exact.opened?.algorithmic_latency_ms ?? 0));
      assert.equal(low.frames.length, exact.frames.length);
    });

    it('gives RGB when RAW is asked for', async () => {
      const { frames } = await converse([f32(speech(0.2))], { output: 'RAW' });
      assert.deepEqual(new Set(frames.map(({ data }) => data.length)), new Set([FRAME_BYTES]));
    });

    it('gives the first frames before the sound has ended', async () => {
      const stream = open();
      stream.write({ audio: f32(speech(SECONDS)) });
      const { ended } = await collect(stream, ({ frame_index }) => frame_index === 10 && stream.end());
      assert.deepEqual(ended, { frame_count: expected.length, skipped_frames: 0 });
    });

    it('drops what is queued when it is interrupted, and says at which frame it stopped', async () => {
      const stream = open();
      const messages = (stream as AsyncIterable<Message>)[Symbol.asyncIterator]();
      await send(stream, { audio: f32(speech(16)) });
      let sent = 0;
      for (let item = await messages.next(); !item.value?.interrupted; item = await messages.next()) {
        assert.ok(!item.done);
        if (item.value.frame && ++sent === 5) await send(stream, { interrupt: {} });
        if (item.value.frame) assert.ok(sent < 200, 'most of the sound was dropped');
      }
      stream.end();
      const { value } = await messages.next();
      assert.deepEqual(value?.ended, { frame_count: sent, skipped_frames: 0 });
    });

    it('closes the mouth and keeps the face alive while no sound comes', async () => {
      const stream = open({ fill_gaps_after_ms: 200 });
      stream.write({ audio: f32(speech(0.4)) });
      const silentFrom = 10 + FRAMES_HEARD;
      const silentUntil = silentFrom + SMALL_PICTURES;
      const answer = await collect(stream, ({ frame_index }) => frame_index === silentUntil && stream.end());
      const frames = pictures(answer.frames);
      const brightness = await Promise.all(frames.map(faceBrightness));
      assert.ok(Math.min(...brightness.slice(0, 10)) > 8, `the mouth is open at first: ${brightness}`);
      assert.ok(Math.max(...brightness.slice(silentFrom).map(Math.abs)) < 1, `and closed in the end: ${brightness}`);
      const silent = frames.slice(silentFrom).map((jpeg) => jpeg.toString('base64'));
      assert.equal(new Set(silent).size, SMALL_PICTURES, 'all pictures of the avatar are shown');
    });

    it('waits for a slow reader: neither frames nor sound pile up, and nothing is lost', async () => {
      const [seconds, rate] = [24, 48_000];
      const sound = speech(seconds, rate);
      const stream = open({ model_id: 'stalled', sample_rate: rate, output: 'RAW' });
      // A grpc-js client that has never read anything reads ahead without end; one that has reads 16 messages ahead.
      const messages = (stream as AsyncIterable<Message>)[Symbol.asyncIterator]();
      await messages.next();
      let written = 0;
      const writing = (async () => {
        for (let start = 0; start < sound.length; start += rate / 10) {
          await send(stream, { audio: f32(sound.slice(start, start + rate / 10)) });
          written++;
        }
        stream.end();
      })();
      // Time enough for the stalled stream to be rendered to its end, were it not held back.
      const { ended } = await converse([f32(speech(seconds))], { model_id: 'other' });
      assert.equal(ended?.frame_count, seconds * 25);
      assert.ok(written < seconds * 10, 'the writer was not held back');
      let rendered = 0;
      await until('the worker has told of both', async () => {
        rendered = await batchesRendered('stalled');
        return rendered > 0 && (await batchesRendered('other')) > 0;
      });
      assert.ok(rendered * 16 <= (seconds * 25) / 2, `${rendered} batches for a reader that took nothing`);
      const indices: number[] = [];
      for (let item = await messages.next(); !item.done; item = await messages.next()) {
        if (item.value.frame) indices.push((item.value.frame as Frame).frame_index);
      }
      await writing;
      assert.deepEqual(
        indices,
        Array.from({ length: seconds * 25 }, (_, index) => index),
      );
    });

    it('brings nothing of its pieces to Redis, however many there are: its worker gets them directly', async () => {
      // The first piece to a worker goes by its queue, and opens the connection for the rest.
      await converse([f32(speech(0.4))]);
      const events = async () => await live.redis.xlen(`{farm}:gpu-0:events`);
      const [before, keys] = [await events(), new Set<string>()];
      const stream = open();
      const answer = collect(stream, async ({ frame_index }) => {
        if (frame_index % 10 === 9) for (const key of await live.redis.keys('{farm}:live:*')) keys.add(key);
      });
      const sound = f32(speech(SECONDS));
      const pieceBytes = sound.length / (SECONDS * 25);
      for (let at = 0; at < sound.length; at += pieceBytes)
        await send(stream, { audio: sound.subarray(at, at + pieceBytes) });
      stream.end();
      assert.deepEqual(differences(pictures((await answer).frames), expected), []);
      // A job is four events. On a busy machine a worker may not say in time that it takes a piece, which is queued then.
      const queued = ((await events()) - before) / 4;
      assert.ok(queued < (SECONDS * 25) / 5, `${queued} jobs for ${SECONDS * 25} pieces`);
      if (queued === 0) assert.deepEqual([...keys], []);
    });

    it('stops when the caller cancels, and leaves nothing behind', async () => {
      const stream = open();
      stream.write({ audio: f32(speech(4)) });
      const error = await failureOf(
        (async () => {
          for await (const message of stream as AsyncIterable<Message>) if (message.frame) stream.cancel();
        })(),
      );
      assert.equal(error.code, status.CANCELLED);
      await until(
        'no job is left',
        async () => (await live.queue.getJobCountByTypes('active', 'waiting', 'prioritized')) === 0,
      );
      await until('its keys are gone', async () => (await live.redis.keys('{farm}:live:*')).length === 0);
      assert.deepEqual(differences(pictures((await converse([f32(speech(SECONDS))])).frames), expected), []);
    });

    it('ends at its deadline', async () => {
      const stream = open({}, { timeoutMs: 500 });
      stream.write({ audio: f32(speech(0.5)) });
      assert.equal((await failureOf(collect(stream))).code, status.DEADLINE_EXCEEDED);
    });

    it('gives no frames for no sound', async () => {
      const { frames, ended } = await converse([]);
      assert.deepEqual([frames.length, ended?.frame_count], [0, 0]);
    });

    describe('refuses', () => {
      const first = (message: StreamRequest | undefined) => {
        const stream = client.stream();
        if (message) stream.write(message);
        stream.end();
        return failureOf(collect(stream));
      };
      const opened = (settings: Partial<Open>) => first({ open: { model_id: 'small', ...settings } as Open });
      const cases: { name: string; fail: () => ReturnType<typeof first>; code: number; text: RegExp }[] = [
        {
          name: 'sound before open',
          fail: () => first({ audio: Buffer.alloc(4) }),
          code: status.INVALID_ARGUMENT,
          text: /got audio, expected open/,
        },
        {
          name: 'nothing',
          fail: () => first(undefined),
          code: status.INVALID_ARGUMENT,
          text: /got the end, expected open/,
        },
        {
          name: 'a second open',
          fail: () => {
            const stream = open();
            stream.write({ open: { model_id: 'small' } as Open });
            return failureOf(collect(stream));
          },
          code: status.INVALID_ARGUMENT,
          text: /got open, expected audio/,
        },
        {
          name: 'sound that ends inside a sample',
          fail: () => failureOf(converse([Buffer.alloc(4 * 100 + 3)])),
          code: status.INVALID_ARGUMENT,
          text: /got 3 bytes after 100 whole samples, expected samples of 4 bytes/,
        },
        {
          name: 'sound that is no number',
          fail: () => failureOf(converse([f32(Float32Array.of(0, Number.POSITIVE_INFINITY))])),
          code: status.INVALID_ARGUMENT,
          text: /got Infinity as sample 1/,
        },
        {
          name: 'a rate out of range',
          fail: () => opened({ sample_rate: 4000 }),
          code: status.INVALID_ARGUMENT,
          text: /sample_rate: got 4000, expected 8000 to 48000, or 0 for 16000/,
        },
        {
          name: 'a sample format that there is not',
          fail: () => opened({ sample_format: 7 as unknown as Open['sample_format'] }),
          code: status.INVALID_ARGUMENT,
          text: /sample_format: got 7, expected F32LE or S16LE/,
        },
        {
          name: 'a quality out of range',
          fail: () => opened({ jpeg_quality: 101 }),
          code: status.INVALID_ARGUMENT,
          text: /jpeg_quality: got 101, expected 1 to 100, or 0 for 75/,
        },
        {
          name: 'an unknown model',
          fail: () => opened({ model_id: 'nobody' }),
          code: status.NOT_FOUND,
          text: /"nobody"/,
        },
      ];
      for (const { name, fail, code, text } of cases) {
        it(name, async () => {
          const error = await fail();
          assert.equal(error.code, code, error.message);
          assert.match(error.details, text);
          assert.ok(farmCode(error));
          assert.match(String(error.metadata.get('farm-error-remedy')[0]), /\.$/);
        });
      }
    });
  });
}

interface Answer {
  opened: Opened | undefined;
  frames: Frame[];
  /** What the end says. */
  ended: { frame_count: number; skipped_frames: number } | undefined;
}

async function collect(
  stream: ClientDuplexStream<StreamRequest, Message>,
  onFrame: (frame: Frame) => unknown = () => {},
): Promise<Answer> {
  const answer: Answer = { opened: undefined, frames: [], ended: undefined };
  for await (const message of stream as AsyncIterable<Message>) {
    if (message.opened) answer.opened = message.opened as Opened;
    if (message.frame) {
      answer.frames.push(message.frame as Frame);
      onFrame(message.frame as Frame);
    }
    if (message.ended) answer.ended = message.ended as NonNullable<Answer['ended']>;
  }
  return answer;
}

const pictures = (frames: readonly Frame[]) => frames.map(({ data }) => data);

/** Pieces of 1 to `longest` bytes. */
function* cutAtRandom(bytes: Buffer, seed: number, longest: number): Generator<Buffer> {
  let state = seed;
  for (let start = 0; start < bytes.length; ) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const end = start + 1 + Math.floor((state / 2 ** 32) * longest);
    yield bytes.subarray(start, end);
    start = end;
  }
}
