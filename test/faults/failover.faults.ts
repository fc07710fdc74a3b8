import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FARM_SLOT } from '../../shared/redis/primary-finder.ts';
import { f32, renderedFrames, speech } from '../grpc/speech.ts';
import { SocketClient } from '../live/socket-client.ts';
import { ClusterServers, missing, SentinelServers } from '../support/redis-servers.ts';
import { DisturbedRenders, type Moment } from './disturbed-render.ts';

/** The server that has the farm's queues is killed; Sentinels, or a cluster, put a replica in its place. */

const SECONDS = 20;
const MOMENTS: readonly Moment[] = ['uploading', 'queued', 'preparing', 'rendering', 'stitching'];
const STREAM_SECONDS = 16;
/** Of sound, at the pace at which it would be spoken. */
const PIECE_MS = 40;
const BYTES_A_MS = 16 * 4;
const KILLED_AT_MS = 4000;

interface Kind {
  readonly what: string;
  readonly program: string;
  readonly moments: readonly Moment[];
  readonly start: () => Promise<AsyncDisposable & { readonly ofFarm: object; kill(): Promise<() => Promise<void>> }>;
}

const KINDS: readonly Kind[] = [
  {
    what: 'three servers and three Sentinels',
    program: 'redis-server',
    moments: MOMENTS,
    start: async () => {
      const servers = await SentinelServers.start({ replicas: 2, sentinels: 3 });
      return Object.assign(servers, { kill: () => servers.killPrimary() });
    },
  },
  {
    what: 'three servers and three Sentinels of Valkey',
    program: 'valkey-server',
    moments: ['rendering'],
    start: async () => {
      const servers = await SentinelServers.start({ replicas: 2, sentinels: 3, program: 'valkey-server' });
      return Object.assign(servers, { kill: () => servers.killPrimary() });
    },
  },
  {
    what: 'a cluster of three nodes with a replica each',
    program: 'redis-server',
    moments: ['rendering', 'stitching'],
    start: async () => {
      const servers = await ClusterServers.start({});
      return Object.assign(servers, { kill: () => servers.killPrimaryOf(FARM_SLOT) });
    },
  },
];

for (const { what, program, moments, start } of KINDS) {
  describe(`with ${what}, nothing is lost when the primary is killed`, { skip: missing(program) }, () => {
    let servers: Awaited<ReturnType<typeof start>>;
    let renders: DisturbedRenders;

    before(async () => {
      servers = await start();
      renders = await DisturbedRenders.start(SECONDS, { redis: servers.ofFarm });
    });
    after(async () => {
      await renders?.[Symbol.asyncDispose]();
      await servers?.[Symbol.asyncDispose]();
    });

    for (const moment of moments) {
      it(`a render that is ${moment}`, async (t) => {
        const endedAfterS = await renders.disturb(moment, () => servers.kill());
        const peace = renders.undisturbedS.toFixed(1);
        t.diagnostic(`figure: ${what}, ${moment}: ended ${endedAfterS.toFixed(1)} s later (${peace} s in peace)`);
        noWorkerEnded(renders);
      });
    }

    it('a live stream', async (t) => {
      const expected = await renderedFrames(renders.farm, STREAM_SECONDS, { modelId: 'small' });
      await streamed(t, renders, expected, servers.kill);
      noWorkerEnded(renders);
    });
  });
}

/** Streams sound as it is spoken, has the primary killed meanwhile, and compares every frame. */
async function streamed(
  t: TestContext,
  { farm }: DisturbedRenders,
  expected: readonly Buffer[],
  kill: () => Promise<() => Promise<void>>,
): Promise<void> {
  await using client = await SocketClient.open(`${farm.url.replace('http', 'ws')}/v1/live`);
  client.say({ type: 'open', model_id: 'small' });
  let revived: Promise<void> | undefined;
  const speaking = speak(client, async () => {
    revived = (await kill())();
  });
  const frames: Buffer[] = [];
  let [lastMs, longestMs] = [performance.now(), 0];
  for (let message = await client.next(); message; message = await client.next()) {
    if (!message.frame) {
      assert.ok(message.type === 'opened' || message.type === 'ended', JSON.stringify(message));
      continue;
    }
    if (frames.length > 0) longestMs = Math.max(longestMs, performance.now() - lastMs);
    lastMs = performance.now();
    frames.push(message.frame.jpeg);
  }
  await speaking;
  await revived;
  assert.equal(frames.length, expected.length);
  assert.ok(frames.every((frame, index) => frame.equals(expected[index] as Buffer)));
  t.diagnostic(`figure: a stream of ${STREAM_SECONDS} s: the longest wait for a frame was ${Math.round(longestMs)} ms`);
}

async function speak(client: SocketClient, strike: () => Promise<void>): Promise<void> {
  const sound = f32(speech(STREAM_SECONDS));
  const piece = PIECE_MS * BYTES_A_MS;
  const startedMs = performance.now();
  let struck: Promise<void> | undefined;
  for (let at = 0; at < sound.length; at += piece) {
    client.socket.send(sound.subarray(at, at + piece));
    const dueMs = startedMs + at / BYTES_A_MS;
    if (!struck && performance.now() - startedMs > KILLED_AT_MS) struck = strike();
    await delay(Math.max(0, dueMs - performance.now()));
  }
  client.say({ type: 'end' });
  await struck;
}

/** Workers wait for Redis; none of them ends because it was away. */
function noWorkerEnded({ farm }: DisturbedRenders): void {
  const ended = farm.log.filter((line) => /cannot go on|starting it again|was lost to process/.test(line));
  assert.deepEqual(ended, []);
}
