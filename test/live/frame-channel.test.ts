import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { RequestChannels } from '../../api/live/request-channels.ts';
import type { DirectChannel } from '../../shared/jobs.ts';
import { livePayloadKey } from '../../shared/live/live-payload.ts';
import { frameChannelKey } from '../../shared/live/redis-channel.ts';
import { workerConnection } from '../../shared/redis.ts';
import { FrameChannels } from '../../worker/gpu/frame-channels.ts';
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

const JOB = {
  ...{ name: 'live' as const, modelId: 'small', startFrameIndex: 0, totalSamples: 0, firstSample: 0, rowsAhead: 7 },
  ...{ output: 'jpeg' as const, jpegQuality: 75, expiresAtMs: Date.now() + 60_000 },
};

for (const { name, settings } of [
  { name: 'over Redis', settings: undefined },
  { name: 'by a socket', settings: SETTINGS },
  { name: 'by TCP', settings: { ...SETTINGS, listen: loopback } },
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
  const worker = new FrameChannels(ofWorker, QUIET_LOG);
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
    const begin = async (attempt: number, nextFrame: number) => {
      // Another worker each time: one that was not reached would not be tried again.
      const place = { ...PLACE, workerId: randomUUID() };
      const { direct, ready } = channel.begin(attempt, nextFrame, place);
      jobs.set(attempt, direct);
      await ready;
    };
    await begin(1, frames.start);
    return {
      reader: channel,
      begin,
      writer: (attempt, pickup = 1) => {
        const direct = jobs.get(attempt);
        const job = { ...JOB, requestId, attempt, frames, ...(direct ? { direct } : {}) };
        return worker.writerFor(job, pickup, PLACE.gpuId);
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
