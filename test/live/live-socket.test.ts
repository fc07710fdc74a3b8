import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { f32, renderedFrames, speech } from '../grpc/speech.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';
import { type Received, SocketClient } from './socket-client.ts';

const SECONDS = 2.4;

describe('the WebSocket /v1/live', () => {
  let farm: TestFarm;
  let url: string;

  before(async () => {
    farm = await startFarm({ models: { small: SMALL_MODEL }, live: { max_streams_per_gpu: 2 } });
    url = `${farm.url.replace('http', 'ws')}/v1/live`;
  });
  after(() => farm[Symbol.asyncDispose]());

  it('gives every frame of a whole render with its time, and says when it has ended', async () => {
    const expected = await renderedFrames(farm, SECONDS, { modelId: 'small' });
    await using client = await SocketClient.open(url);
    client.say({ type: 'open', model_id: 'small' });
    const sound = f32(speech(SECONDS));
    for (let at = 0; at < sound.length; at += 10_001) client.socket.send(sound.subarray(at, at + 10_001));
    client.say({ type: 'end' });
    const [opened, ...rest] = await messagesOf(client);
    assert.deepEqual(opened, {
      type: 'opened',
      algorithmic_latency_ms: 450,
      sample_rate: 16_000,
      frames_per_second: 25,
    });
    assert.deepEqual(rest.pop(), { type: 'ended', frame_count: expected.length, skipped_frames: 0 });
    const frames = rest.map(({ frame }) => frame);
    assert.deepEqual(
      frames.map((frame) => [frame?.index, frame?.timeMs, frame?.skipped]),
      expected.map((_, index) => [index, index * 40, 0]),
    );
    assert.ok(frames.every((frame, index) => frame?.jpeg.equals(expected[index] as Buffer)));
    assert.deepEqual(await client.closed, { code: 1000, reason: '' });
  });

  it('drops what is queued when it is interrupted, says at which frame it stopped, and goes on from there', async () => {
    await using client = await SocketClient.open(url);
    client.say({ type: 'open', sample_rate: 16_000, sample_format: 'F32LE' });
    const sound = f32(speech(14));
    for (let at = 0; at < sound.length; at += 64_000) client.socket.send(sound.subarray(at, at + 64_000));
    client.say({ type: 'end' });
    let sent = 0;
    let message = await client.next();
    for (; message && !isInterrupted(message); message = await client.next()) {
      if (!message.frame) continue;
      assert.equal(message.frame.index, sent);
      if (++sent === 5) client.say({ type: 'interrupt' });
    }
    assert.deepEqual(message, { type: 'interrupted', frame_index: sent });
    assert.ok(sent < 200, `${sent} of 350 frames came`);
    assert.deepEqual(await messagesOf(client), [{ type: 'ended', frame_count: sent, skipped_frames: 0 }]);
  });

  it('opens no session for which the GPU has no room, and the next one when there is', async () => {
    await using clients = new AsyncDisposableStack();
    const open = async () => {
      const client = clients.use(await SocketClient.open(url));
      client.say({ type: 'open' });
      return { client, first: (await client.next()) as { type: string; error?: { code: string } } };
    };
    const sessions = await Promise.all([open(), open(), open()]);
    const [refused] = sessions.filter(({ first }) => first.type === 'error');
    assert.equal(refused?.first.error?.code, 'capacity_full');
    assert.deepEqual(await refused?.client.closed, { code: 1013, reason: 'capacity_full' });
    for (const { client } of sessions) await client[Symbol.asyncDispose]();
    await until('there is room', async () => (await open()).first.type === 'opened');
  });
});

function isInterrupted(message: Received): boolean {
  return !message.frame && message.type === 'interrupted';
}

async function messagesOf(client: SocketClient): Promise<Received[]> {
  const all: Received[] = [];
  for (let message = await client.next(); message; message = await client.next()) all.push(message);
  return all;
}
