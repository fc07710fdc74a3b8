import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import type { CompositeBatchResponse } from '../../api/grpc/messages/monolithic.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { startHeartbeat } from '../../shared/workers/heartbeat.ts';
import { LiveRequests } from '../engine/live-requests.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';
import { floatsOf, visualFrames } from '../support/visual-frames.ts';
import { MONOLITHIC, methodOf, TestClient } from './clients.ts';

const FRAMES = 6;
const FEATURES = Buffer.from(new Float32Array(8192).fill(0.4).buffer);
const GZIP = 2;
const { floats, planes } = visualFrames(FRAMES);
const VALUES = planes.length / FRAMES;

/** All faces, and then all with the mouth hidden, as some clients send them. */
function facesThenHidden(): Buffer {
  const half = floats.length / FRAMES / 2;
  const halves = Array.from({ length: 2 * FRAMES }, (_, at) => floats.subarray(at * half, (at + 1) * half));
  return Buffer.concat([...halves.filter((_, at) => at % 2 === 0), ...halves.filter((_, at) => at % 2 === 1)]);
}

const multiplied = Buffer.from(Float32Array.from(planes, (value) => value * Math.fround(1 / 255)).buffer);
const softened = Buffer.from(Float32Array.from(planes, (value) => (value + 0.5) / 256).buffer);
/** What comes into Redis for a request with these, at most and at least, in parts of its bytes. */
const SENT: readonly [what: string, bytes: Buffer, least: number, most: number][] = [
  ['made from bytes', floats, 1 / 8, 1 / 6],
  ['with all hidden mouths behind all faces', facesThenHidden(), 1 / 4, 1 / 3],
  ['multiplied by 1/255', multiplied, 1 / 4, 1 / 3],
  ['with another picture in channels 3–5', floatsOf(visualFrames(FRAMES * 2).crops), 1 / 4, 1 / 3],
  ['that are no bytes', softened, 1, 1.1],
];

describe('visual_frames', () => {
  let farm: TestFarm;
  let client: TestClient;
  let live: LiveRequests;

  const message = (visual_frames: Buffer, batch_size = FRAMES) => ({
    ...{ model_id: 'small', batch_size, raw_audio: Buffer.alloc(0), audio_features: FEATURES, sample_rate: 16_000 },
    visual_frames,
  });
  const infer = (visual: Buffer, batchSize?: number) =>
    client.unary<CompositeBatchResponse>(MONOLITHIC, 'InferBatchComposite', message(visual, batchSize));
  const frames = async (visual: Buffer) => {
    const { success, error, composited_frames } = await infer(visual);
    assert.ok(success, error);
    return [...composited_frames];
  };
  /** The frames of a worker that gets the floats themselves. */
  const expected = async (visual: Buffer) => {
    const job = live.job({ frames: { start: 0, end: FRAMES } });
    return [...(await live.ask(job, { visualFrames: visual, audioFeatures: FEATURES })).frames.values()];
  };
  const redisInput = async () => Number(/total_net_input_bytes:(\d+)/.exec(await live.redis.info('stats'))?.[1]);
  const cost = async (visual: Buffer) => {
    const before = await redisInput();
    const got = await frames(visual);
    return { got, part: ((await redisInput()) - before) / visual.length };
  };

  before(async () => {
    // Over Redis, where what travels can be counted.
    farm = await startFarm({ models: { small: SMALL_MODEL }, live: { frame_channel: 'redis' } });
    client = new TestClient(farm.grpcAddress);
    live = new LiveRequests(farm.farm.redisUrl);
  });
  after(async () => {
    client.close();
    await live[Symbol.asyncDispose]();
    await farm[Symbol.asyncDispose]();
  });

  it('of another size than the model’s are refused by the worker while no front end knows it', async () => {
    const { success, error } = await infer(Buffer.alloc(4 * 6 * 64 * 64), 1);
    assert.equal(success, false);
    assert.match(error, /visual_frames has 98304 bytes, expected 614400 \(1 frames × 6 × 160 × 160 float32\)/);
  });

  for (const [what, sent, least, most] of SENT) {
    it(`${what} give the same frames as the floats, and travel as ${least} of them`, async () => {
      const { got, part } = await cost(sent);
      assert.equal(got.length, FRAMES);
      assert.deepEqual(got, await expected(sent));
      assert.ok(part >= least && part < most, `${part} of the bytes came into Redis`);
    });
  }

  it('of another size are refused before they travel, in the same words', async () => {
    const before = await redisInput();
    const { success, error } = await infer(Buffer.alloc(FRAMES * 4 * 6 * 320 * 320));
    assert.equal(success, false);
    assert.match(error, /visual_frames has 14745600 bytes, expected 3686400 \(6 frames × 6 × 160 × 160 float32\)/);
    assert.ok((await redisInput()) - before < 1_000_000);
  });

  it('that are no numbers are refused, with the place', async () => {
    const sent = Buffer.from(floats);
    sent.writeFloatLE(Number.NaN, 4 * (2 * VALUES + 4 * 160 * 160 + 7 * 160 + 9));
    const { success, error } = await infer(sent);
    assert.equal(success, false);
    assert.match(error, /request_invalid: visual_frames: got NaN in frame 2, channel 4, row 7, column 9, expected fin/);
  });

  it('may be compressed by the client', async () => {
    const zipping = new Client(farm.grpcAddress, credentials.createInsecure(), {
      ...{ 'grpc.default_compression_algorithm': GZIP, 'grpc.use_local_subchannel_pool': 1 },
    });
    const { path, requestSerialize, responseDeserialize } = methodOf(MONOLITHIC, 'InferBatchComposite');
    const answer = Promise.withResolvers<CompositeBatchResponse>();
    zipping.makeUnaryRequest(path, requestSerialize, responseDeserialize, message(floats), (error, value) =>
      error ? answer.reject(error) : answer.resolve(value as CompositeBatchResponse),
    );
    assert.deepEqual([...(await answer.promise).composited_frames], await expected(floats));
    zipping.close();
  });

  it('travel as floats while a worker of an earlier version is there', async () => {
    const redis = workerConnection(farm.farm.redisUrl);
    const older = {
      ...{ gpuId: 7, host: 'other', pid: 1, startedAtMs: Date.now(), provider: null, device: null, models: [] },
      ...{ draining: false, runningJobs: 0, eventLoopBlockedMaxMs: 0 },
    };
    const beating = startHeartbeat(redis, 'older', () => older, QUIET_LOG);
    try {
      await beating.first;
      await until('the front end knows it', async () => {
        const { got, part } = await cost(floats);
        assert.deepEqual(got, await expected(floats));
        return part >= 1;
      });
    } finally {
      await beating.stop();
      redis.disconnect();
    }
  });
});
