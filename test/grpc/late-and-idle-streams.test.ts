import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type ClientDuplexStream, status } from '@grpc/grpc-js';
import type { Frame, Open, StreamRequest } from '../../api/grpc/messages/farm.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { DEMO_MODEL, startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';
import { failureOf, farmCode, type Message, send, TestClient } from './clients.ts';
import { differences, f32, renderedFrames, speech } from './speech.ts';

const SECONDS = 4;
const FRAMES = SECONDS * 25;
/** A frame that is this late may be left out; see `catch_up` in proto/farm.proto. */
const LATE_MS = 400;
/** What somebody who speaks sends at a time, as often as it lasts. */
const PIECE_FRAMES = 3;
const PIECE_MS = 40 * PIECE_FRAMES;
const PIECE = f32(speech(PIECE_MS / 1000));

type Stream = ClientDuplexStream<StreamRequest, Message>;
type Messages = AsyncIterator<Message>;

/** A stream, and its messages after `opened`. */
interface Opened {
  readonly stream: Stream;
  readonly messages: Messages;
}

describe('a stream', () => {
  let farm: TestFarm;
  let client: TestClient;
  /** Of the test that runs. */
  let ends = new DisposableStack();

  before(async () => {
    farm = await startFarm({
      models: { demo: DEMO_MODEL, small: SMALL_MODEL },
      live: { max_streams_per_gpu: 1, idle_stream_seconds: 0.5 },
    });
    client = new TestClient(farm.grpcAddress);
  });
  afterEach(async () => {
    ends.dispose();
    ends = new DisposableStack();
    await until('every place is free', async () => (await usedPlaces()) === 0);
  });
  after(async () => {
    client.close();
    await farm[Symbol.asyncDispose]();
  });

  const open = async (settings: Partial<Open> = {}): Promise<Opened> => {
    const stream = ends.adopt(client.stream(), (each) => each.cancel());
    // Its messages tell of it.
    stream.on('error', () => {});
    stream.write({ open: { model_id: 'small', ...settings } as Open });
    const messages = (stream as AsyncIterable<Message>)[Symbol.asyncIterator]();
    await messages.next();
    return { stream, messages };
  };
  /** Speaks on a stream from now on, and reads what comes. `hangUp` resolves with the frames that were to come, and came. */
  const speakOn = ({ stream, messages }: Opened) => {
    let asked = 0;
    const speaking = ends.adopt(
      setInterval(() => {
        stream.write({ audio: PIECE });
        asked += PIECE_FRAMES;
      }, PIECE_MS),
      (timer) => clearInterval(timer),
    );
    const frames = countFrames(messages);
    const hangUp = async () => {
      clearInterval(speaking);
      stream.end();
      return { asked, came: await frames };
    };
    return { frames, hangUp };
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
    const second = speakOn(await open());
    await until('the second has it', async () => (await usedPlaces()) === 1);
    await second.hangUp();
    await until('the second has ended', async () => (await usedPlaces()) === 0);
    const again = speakOn(first);
    await until('the first has a place again', async () => (await usedPlaces()) === 1);
    const { asked, came } = await again.hangUp();
    assert.equal(1 + came, 25 + asked, 'the frames of all its sound');
  });

  it('that stays silent does so too while gaps are filled', async () => {
    const { stream, messages } = await open({ fill_gaps_after_ms: 40 });
    await send(stream, { audio: f32(speech(0.2)) });
    const reading = countFrames(messages);
    await until('it has given its place back', async () => (await usedPlaces()) === 0);
    stream.end();
    await reading;
  });

  it('that comes back to a full farm is told so', async () => {
    const first = await open();
    await until('the silent stream has given its place back', async () => (await usedPlaces()) === 0);
    const second = await open();
    // On a machine that stands still for a while the second falls silent, too; then it may be the one that comes back.
    const both = [second, first].map((each) => speakOn(each).frames);
    const error = await failureOf(Promise.race(both));
    assert.deepEqual([error.code, farmCode(error)], [status.RESOURCE_EXHAUSTED, 'capacity_full']);
  });
});

/** Reads a stream to its end. A failure is told to whoever waits for the number. */
function countFrames(messages: Messages): Promise<number> {
  const read = async () => {
    let frames = 0;
    for (let item = await messages.next(); !item.done; item = await messages.next()) if (item.value.frame) frames++;
    return frames;
  };
  const counted = read();
  counted.catch(ignored('a test that has failed does not wait for it'));
  return counted;
}
