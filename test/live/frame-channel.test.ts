import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { RequestChannels } from '../../api/live/request-channels.ts';
import type { DirectChannel, LiveJob } from '../../shared/jobs/jobs.ts';
import type { FrameWriter, Opened } from '../../shared/live/frames.ts';
import { livePayloadKey } from '../../shared/live/live-payload.ts';
import { frameChannelKey } from '../../shared/live/redis-channel.ts';
import { workerConnection } from '../../shared/redis/connections.ts';
import { FrameChannels, type OfferTaker } from '../../worker/gpu/frame-channels.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { RedisProxy } from '../support/redis-proxy.ts';
import { startRedisServer } from '../support/redis-server.ts';
import { frameChannelContract } from './frame-channel-contract.ts';

const server = await startRedisServer();
const PLACE = { gpuId: 3, workerId: 'gpu-3-test', host: hostname(), frameChannel: 1 };
const SETTINGS = { listen: undefined, advertise: '', maxConnections: 100 };
/** Where nobody listens: the port of a service that no machine of today has. */
const NOBODY = '127.0.0.1:1';
const loopback = { host: '127.0.0.1', port: 0 };

const NO_BYTES = Buffer.alloc(0);
const NOTHING = { audio: NO_BYTES, visualFrames: NO_BYTES, visualForm: 'floats', audioFeatures: NO_BYTES } as const;

const JOB = {
  ...{ name: 'live' as const, modelId: 'small', startFrameIndex: 0, totalSamples: 0, firstSample: 0, rowsAhead: 7 },
  ...{ output: 'jpeg' as const, jpegQuality: 75, expiresAtMs: Date.now() + 60_000 },
};

for (const { name, settings, offers = false } of [
  { name: 'over Redis', settings: undefined },
  { name: 'by a socket', settings: SETTINGS },
  { name: 'by TCP', settings: { ...SETTINGS, listen: loopback } },
  { name: 'by a socket, for jobs that are offered over it', settings: SETTINGS, offers: true },
  {
    name: 'over Redis where the front end is not reached',
    settings: { ...SETTINGS, listen: loopback, advertise: NOBODY },
  },
]) {
  const storageRoot = await mkdtemp(path.join(tmpdir(), 'farm-test-channel-'));
  const proxy = new RedisProxy(server.url);
  const redis = await server.connect();
  const ofWorker = workerConnection(await proxy.open('worker'));
  const front = new RequestChannels({ redis, log: QUIET_LOG, openReader: () => workerConnection(server.url) });
  if (settings) await front.listen({ ...settings, storageRoot });
  let onOffer: OfferTaker['onOffer'] = () => {};
  const taker = { workerId: PLACE.workerId, onOffer: (...offer: Parameters<typeof onOffer>) => onOffer(...offer) };
  const worker = new FrameChannels(ofWorker, QUIET_LOG, taker);
  const { gpuId } = PLACE;

  /** Has the worker connect, which it does for the first job that it takes from a queue. */
  const connect = async () => {
    const [requestId, frames] = [randomUUID(), { start: 0, end: 1 }];
    const channel = front.open(requestId, NOTHING, 0);
    const direct = channel.begin(1, 0, PLACE);
    if (direct) await worker.writerFor({ ...JOB, requestId, attempt: 1, frames, direct }, { pickup: 1, gpuId }).open();
    channel.close();
  };
  /** The worker's end of a run that begins by an offer, which `hand` makes when it is opened; else as `plain` has it. */
  const offered = (plain: () => FrameWriter, hand: (take: OfferTaker['onOffer']) => Promise<boolean>): FrameWriter => {
    let writer: FrameWriter | undefined;
    const its = () => writer ?? assert.fail('it is not open');
    return {
      async open() {
        const opened = Promise.withResolvers<Opened>();
        const isTaken = await hand((job, offer) => {
          writer = worker.writerFor(job as LiveJob, { pickup: 1, gpuId, offer });
          opened.resolve(writer.open());
        });
        if (isTaken) return await opened.promise;
        writer = plain();
        return await writer.open();
      },
      frames: (frames) => its().frames(frames),
      done: (summary, last) => its().done(summary, last),
      failed: (error) => its().failed(error),
      close: () => its().close(),
    };
  };
  after(async () => {
    worker.close();
    await front.close();
    ofWorker.disconnect();
    await proxy[Symbol.asyncDispose]();
    await rm(storageRoot, { recursive: true });
  });

  frameChannelContract(name, async (payload, frames) => {
    const requestId = randomUUID();
    const channel = front.open(requestId, payload, frames.start);
    const jobs = new Map<number, DirectChannel | undefined>();
    let current = 0;
    const begin = async (attempt: number, nextFrame: number) => {
      current = attempt;
      // Another worker each time: one that was not reached would not be tried again.
      const place = offers ? PLACE : { ...PLACE, workerId: randomUUID() };
      jobs.set(attempt, channel.begin(attempt, nextFrame, place));
      if (!offers) await channel.prepare();
    };
    if (offers) await connect();
    await begin(1, frames.start);
    return {
      reader: channel,
      begin,
      writer: (attempt, pickup = 1) => {
        const job = () => {
          const direct = jobs.get(attempt);
          return { ...JOB, requestId, attempt, frames, ...(direct ? { direct } : {}) };
        };
        const plain = () => worker.writerFor(job(), { pickup, gpuId });
        if (!offers) return plain();
        return offered(plain, async (take) => {
          onOffer = take;
          return pickup === 1 && attempt === current && (await channel.handOver(job()));
        });
      },
      breakLine: () => {
        worker.close();
        proxy.cut('worker');
      },
      giveUp: async () => {
        channel.close();
        await redis.del(livePayloadKey(requestId), frameChannelKey(requestId));
      },
    };
  });
}
