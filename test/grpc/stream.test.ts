import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import type { Redis } from 'ioredis';
import type { Frame, Open, Opened, StreamRequest } from '../../api/grpc/messages/farm.ts';
import { workerConnection } from '../../shared/redis.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { type CallSettings, failureOf, farmCode, type Message, send, TestClient } from './clients.ts';
import { differences, f32, renderedFrames, s16, speech } from './speech.ts';

const SECONDS = 2.4;
const FRAME_BYTES = 1280 * 720 * 3;

describe('FarmService.Stream', () => {
  let farm: TestFarm;
  let client: TestClient;
  let redis: Redis;
  let expected: Buffer[];

  before(async () => {
    farm = await startFarm();
    client = new TestClient(farm.grpcAddress);
    redis = workerConnection(farm.farm.redisUrl);
    expected = await renderedFrames(farm, SECONDS);
  });
  after(async () => {
    client.close();
    redis.disconnect();
    await farm[Symbol.asyncDispose]();
  });

  const open = (settings: Partial<Open> = {}, call?: CallSettings): ClientDuplexStream<StreamRequest, Message> => {
    const stream = client.stream(call);
    stream.write({ open: { model_id: 'demo', ...settings } as Open });
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

  it('says when it is open, gives every frame with its time, and says when it has ended', async () => {
    const { opened, frames, ended } = await converse([f32(speech(SECONDS))]);
    assert.equal(opened?.frames_per_second, 25);
    assert.equal(opened?.sample_rate, 16_000);
    assert.ok((opened?.algorithmic_latency_ms ?? 0) > 100);
    assert.deepEqual(
      frames.map(({ frame_index, presentation_time_ms, gpu_id }) => [frame_index, presentation_time_ms, gpu_id]),
      expected.map((_, index) => [index, index * 40, 0]),
    );
    assert.equal(ended, expected.length);
    assert.deepEqual(differences(pictures(frames), expected), []);
  });

  for (const seed of [1, 2]) {
    it(`gives the frames of a whole render however the sound is cut (seed ${seed}), also inside a sample`, async () => {
      const float = await converse(cutAtRandom(f32(speech(SECONDS)), seed, 20_000));
      assert.deepEqual(differences(pictures(float.frames), expected), []);
      const integer = await converse(cutAtRandom(s16(speech(SECONDS)), seed, 9000), { sample_format: 'S16LE' });
      assert.deepEqual(differences(pictures(integer.frames), expected), []);
    });
  }

  it('takes other rates: the frames do not depend on how the sound is cut', async () => {
    const sound = f32(speech(SECONDS, 44_100));
    const whole = await converse([sound], { sample_rate: 44_100 });
    const cut = await converse(cutAtRandom(sound, 4, 50_000), { sample_rate: 44_100 });
    assert.equal(whole.frames.length, expected.length);
    assert.deepEqual(differences(pictures(cut.frames), pictures(whole.frames)), []);
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
    for await (const message of stream as AsyncIterable<Message>) {
      const frame = message.frame as Frame | null;
      if (frame?.frame_index === 10) stream.end();
      if (message.ended) assert.deepEqual(message.ended, { frame_count: expected.length, skipped_frames: 0 });
    }
  });

  it('puts silence in while no sound comes', async () => {
    const stream = open({ fill_gaps_after_ms: 200 });
    stream.write({ audio: f32(speech(0.4)) });
    let frames = 0;
    for await (const message of stream as AsyncIterable<Message>) {
      if (message.frame && ++frames === 40) stream.end();
    }
    assert.ok(frames >= 40, `${frames} frames of 10 frames of sound`);
  });

  it('waits for a slow reader: neither frames nor sound pile up, and nothing is lost', async () => {
    const [seconds, rate] = [12, 48_000];
    const sound = speech(seconds, rate);
    const stream = open({ sample_rate: rate });
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
    const before = await finishedJobs(redis);
    await untilStill(() => written);
    await untilStill(() => finishedJobs(redis));
    assert.ok(written < seconds * 10, 'the writer was not held back');
    const rendered = (await finishedJobs(redis)) - before;
    assert.ok(rendered <= 8, `${rendered} micro-batches were rendered for a reader that took nothing`);
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

  it('sends no more sound to a worker than its frames depend on, however long a message is', async () => {
    const stream = open();
    const messages = (stream as AsyncIterable<Message>)[Symbol.asyncIterator]();
    await messages.next();
    await send(stream, { audio: f32(speech(60)) });
    // The first micro-batch has been read to its end, the next two wait for a reader.
    for (let frame = 0; frame <= 16; frame++) await messages.next();
    const payloads = await redis.keys('{farm}:live:*:in');
    const bytes = await Promise.all(payloads.map((key) => redis.hstrlen(key, 'audio')));
    assert.ok(bytes.length > 0);
    for (const length of bytes) assert.ok(length < 2 * 16_000 * 4, `${length} bytes for 16 frames`);
    stream.cancel();
    await assert.rejects(async () => {
      for (;;) await messages.next();
    });
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
    await untilStill(() => finishedJobs(redis));
    assert.deepEqual(await unfinishedJobs(redis), 0);
    assert.deepEqual(differences(pictures((await converse([f32(speech(SECONDS))])).frames), expected), []);
  });

  it('ends at its deadline', async () => {
    const stream = open({}, { timeoutMs: 1000 });
    stream.write({ audio: f32(speech(0.5)) });
    assert.equal((await failureOf(collect(stream))).code, status.DEADLINE_EXCEEDED);
  });

  it('gives no frames for no sound', async () => {
    const { frames, ended } = await converse([]);
    assert.deepEqual([frames.length, ended], [0, 0]);
  });

  describe('refuses', () => {
    const first = (message: StreamRequest | undefined) => {
      const stream = client.stream();
      if (message) stream.write(message);
      stream.end();
      return failureOf(collect(stream));
    };
    const opened = (settings: Partial<Open>) => first({ open: { model_id: 'demo', ...settings } as Open });
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
          stream.write({ open: { model_id: 'demo' } as Open });
          return failureOf(collect(stream));
        },
        code: status.INVALID_ARGUMENT,
        text: /got open, expected audio/,
      },
      {
        name: 'sound that ends inside a sample',
        fail: () => failureOf(converse([Buffer.alloc(4 * 100 + 3)])),
        code: status.INVALID_ARGUMENT,
        text: /got 3 bytes after sample 99, expected samples of 4 bytes/,
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

interface Answer {
  opened: Opened | undefined;
  frames: Frame[];
  /** Number of frames that the end names. */
  ended: number | undefined;
}

async function collect(stream: ClientDuplexStream<StreamRequest, Message>): Promise<Answer> {
  const answer: Answer = { opened: undefined, frames: [], ended: undefined };
  for await (const message of stream as AsyncIterable<Message>) {
    if (message.opened) answer.opened = message.opened as Opened;
    if (message.frame) answer.frames.push(message.frame as Frame);
    if (message.ended) answer.ended = (message.ended as { frame_count: number }).frame_count;
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

async function finishedJobs(redis: Redis): Promise<number> {
  return await redis.zcard('{farm}:gpu-0:completed');
}

async function unfinishedJobs(redis: Redis): Promise<number> {
  const [active, waiting, prioritized] = await Promise.all([
    redis.llen('{farm}:gpu-0:active'),
    redis.llen('{farm}:gpu-0:wait'),
    redis.zcard('{farm}:gpu-0:prioritized'),
  ]);
  return active + waiting + prioritized;
}

/** Resolves when a number has not changed for a second. */
async function untilStill(read: () => number | Promise<number>): Promise<void> {
  for (let last = -1, now = await read(); now !== last; now = await read()) {
    last = now;
    await delay(1000);
  }
}
