import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import type { Frame, Open, StreamRequest } from '../../api/grpc/messages/farm.ts';
import { DEMO_MODEL, startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';
import { failureOf, farmCode, type Message, send, TestClient } from './clients.ts';
import { differences, f32, renderedFrames, speech } from './speech.ts';

const SECONDS = 4;
const FRAMES = SECONDS * 25;
/** A frame that is this late may be left out; see `catch_up` in proto/farm.proto. */
const LATE_MS = 400;

type Stream = ClientDuplexStream<StreamRequest, Message>;
type Messages = AsyncIterator<Message>;

describe('a stream', () => {
  let farm: TestFarm;
  let client: TestClient;

  before(async () => {
    farm = await startFarm({
      models: { demo: DEMO_MODEL, small: SMALL_MODEL },
      live: { max_streams_per_gpu: 1, idle_stream_seconds: 0.5 },
    });
    client = new TestClient(farm.grpcAddress);
  });
  after(async () => {
    client.close();
    await farm[Symbol.asyncDispose]();
  });

  /** Opens a stream, and returns it with its messages after `opened`. */
  const open = async (settings: Partial<Open> = {}): Promise<{ stream: Stream; messages: Messages }> => {
    const stream = client.stream();
    stream.write({ open: { model_id: 'small', ...settings } as Open });
    const messages = (stream as AsyncIterable<Message>)[Symbol.asyncIterator]();
    await messages.next();
    return { stream, messages };
  };
  const usedPlaces = async () => (await farm.client.gpus()).capacity.used;

  it('whose reader stalls leaves late frames out and says how many, with catch_up SKIP', async () => {
    // Pictures of a size that the connection holds few of.
    const expected = await renderedFrames(farm, SECONDS, { modelId: 'demo' });
    const { stream, messages } = await open({ model_id: 'demo', catch_up: 'SKIP' });
    const startedAtMs = performance.now();
    await send(stream, { audio: f32(speech(SECONDS)) });
    stream.end();
    const frames: Frame[] = [(await messages.next()).value.frame as Frame];
    // The sound has been played to its end, and nobody has fetched the pictures.
    await delay(startedAtMs + SECONDS * 1000 + 2 * LATE_MS - performance.now());
    let ended: unknown;
    for (let item = await messages.next(); !item.done; item = await messages.next()) {
      if (item.value.frame) frames.push(item.value.frame as Frame);
      else ended = item.value.ended;
    }
    const skipped = frames.reduce((sum, frame) => sum + frame.skipped_frames, 0);
    assert.deepEqual(ended, { frame_count: frames.length, skipped_frames: skipped });
    assert.equal(frames.length + skipped, FRAMES);
    assert.ok(skipped > 0, 'no frame was left out');
    assert.equal(frames.at(-1)?.frame_index, FRAMES - 1, 'the last picture is always sent');
    let next = 0;
    for (const { frame_index, skipped_frames, presentation_time_ms } of frames) {
      assert.equal(frame_index, next + skipped_frames);
      assert.equal(presentation_time_ms, frame_index * 40);
      next = frame_index + 1;
    }
    const pictures = frames.map(({ data }) => data);
    const same = frames.map(({ frame_index }) => expected[frame_index] as Buffer);
    assert.deepEqual(differences(pictures, same), []);
  });

  it('that stays silent gives its place to another, and takes one again when sound comes', async () => {
    const first = await open();
    await send(first.stream, { audio: f32(speech(1)) });
    await first.messages.next();
    await until('the silent stream has given its place back', async () => (await usedPlaces()) === 0);
    const second = await open();
    assert.equal(await usedPlaces(), 1);
    second.stream.end();
    for (let item = await second.messages.next(); !item.done; ) item = await second.messages.next();
    await until('the second has ended', async () => (await usedPlaces()) === 0);
    await send(first.stream, { audio: f32(speech(1)) });
    await until('the first has a place again', async () => (await usedPlaces()) === 1);
    first.stream.end();
    let frames = 1;
    for (let item = await first.messages.next(); !item.done; item = await first.messages.next()) {
      if (item.value.frame) frames++;
    }
    assert.equal(frames, 50, 'the frames of both pieces of sound');
  });

  it('that stays silent does so too while gaps are filled', async () => {
    const { stream, messages } = await open({ fill_gaps_after_ms: 40 });
    await send(stream, { audio: f32(speech(0.2)) });
    const reading = (async () => {
      for (let item = await messages.next(); !item.done; ) item = await messages.next();
    })();
    await until('it has given its place back', async () => (await usedPlaces()) === 0);
    stream.end();
    await reading;
  });

  it('that comes back to a full farm is told so', async () => {
    const first = await open();
    await until('the silent stream has given its place back', async () => (await usedPlaces()) === 0);
    const second = await open();
    const failure = failureOf(
      (async () => {
        for (let item = await first.messages.next(); !item.done; ) item = await first.messages.next();
      })(),
    );
    await send(first.stream, { audio: f32(speech(1)) });
    const error = await failure;
    assert.deepEqual([error.code, farmCode(error)], [status.RESOURCE_EXHAUSTED, 'capacity_full']);
    second.stream.end();
    for (let item = await second.messages.next(); !item.done; ) item = await second.messages.next();
  });
});
