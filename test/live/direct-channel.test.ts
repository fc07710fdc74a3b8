import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import type { LiveJob } from '../../shared/jobs/jobs.ts';
import { connectOptions } from '../../shared/live/direct/address.ts';
import { DirectFrameWriter, type DirectWriterTools } from '../../shared/live/direct/direct-writer.ts';
import { FrameLink, type OnOffer } from '../../shared/live/direct/frame-link.ts';
import { FrameListener } from '../../shared/live/direct/frame-listener.ts';
import { DirectInbox } from '../../shared/live/direct/inbox.ts';
import { header, jsonMessage, KIND, numbersMessage, WINDOW_BYTES } from '../../shared/live/direct/wire.ts';
import { Random } from '../fuzz/random.ts';
import { QUIET_LOG } from '../support/quiet-log.ts';
import { until } from '../support/until.ts';

const NOTHING = Buffer.alloc(0);
const PAYLOAD = { audio: NOTHING, visualFrames: NOTHING, visualForm: 'floats', audioFeatures: NOTHING } as const;
const SUMMARY = { gpuId: 0, modelWasLoaded: true, modelLoadMs: 0, audioMs: 0, inferenceMs: 0, compositeMs: 0 };
const FRAMES = 32;
const FRAME_BYTES = 500_000;
const MOST_CONNECTIONS = 20;
/** Connections with changed messages; FUZZ_CASES takes more. */
const FUZZ_RUNS = Number(process.env.FUZZ_CASES ?? 200);

const storageRoot = await mkdtemp(path.join(tmpdir(), 'farm-test-direct-'));
const settings = { listen: undefined, advertise: '', storageRoot, maxConnections: MOST_CONNECTIONS };
const listener = await FrameListener.start(settings, QUIET_LOG);
const link = new FrameLink(listener.address);
after(async () => {
  link.close();
  await listener.close();
  await rm(storageRoot, { recursive: true });
});

function request(requestId: string, more: Partial<DirectWriterTools> = {}) {
  const inbox = new DirectInbox(requestId, PAYLOAD, 0);
  inbox.begin(1, 0);
  listener.add(inbox);
  const run = { requestId, attempt: 1, pickup: 1, gpuId: 0, frames: { start: 0, end: FRAMES } };
  const tools = {
    ...{ link, token: inbox.token, onReached: () => {} },
    overRedis: () => assert.fail('the front end was there'),
    ...more,
  };
  return { inbox, writer: new DirectFrameWriter(run, tools) };
}

const open = (inbox: DirectInbox, changes: object = {}) =>
  jsonMessage(KIND.open, 1, {
    ...{ version: 1, requestId: inbox.requestId, token: inbox.token, attempt: 1, pickup: 1, gpuId: 0 },
    wantsPayload: true,
    ...changes,
  });

async function stranger(): Promise<Socket> {
  const socket = connect(connectOptions(listener.address));
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** Resolves when the front end has closed the connection. */
async function closed(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.closed) await once(socket, 'close', { signal: AbortSignal.timeout(5000) });
}

/** Reads until the run is done; how many frames came. */
async function framesToTheEnd(inbox: DirectInbox): Promise<number> {
  const came: string[] = [];
  await until('the run is done', async () => {
    came.push(...(await inbox.next(1000)).map(({ type }) => type));
    return came.at(-1) === 'done';
  });
  return came.filter((type) => type === 'frame').length;
}

describe('the direct frame channel', () => {
  it('ends a run that is given up in the moment in which it is let in', async () => {
    const parts = ['audio', 'visualFrames', 'audioFeatures'].map((name) => ({ name, bytes: 0 }));
    const answers = [
      jsonMessage(KIND.grant, 1, { firstFrame: 0, parts }),
      jsonMessage(KIND.refusal, 1, { why: 'gone' }),
    ];
    const frontEnd = createServer((socket) => {
      socket.on('error', () => {});
      // In one piece, as they leave a front end whose caller has just left.
      socket.once('data', () => socket.write(Buffer.concat(answers)));
    });
    await once(frontEnd.listen(0, '127.0.0.1'), 'listening');
    const itsLink = new FrameLink(`tcp:127.0.0.1:${(frontEnd.address() as AddressInfo).port}`);
    try {
      assert.deepEqual(await request('left', { link: itsLink }).writer.open(), { state: 'gone' });
    } finally {
      itsLink.close();
      frontEnd.close();
    }
  });

  it('keeps little of a request that nobody reads, and the others go on', async () => {
    const [slow, quick] = [request('slow'), request('quick')];
    await Promise.all([slow.writer.open(), quick.writer.open()]);
    let sent = 0;
    const frames = Array.from({ length: FRAMES }, (_, frameIndex) => ({ frameIndex, data: Buffer.alloc(FRAME_BYTES) }));
    const written = frames.map(async (frame) => {
      await slow.writer.frames([frame]);
      sent++;
    });
    written.push(slow.writer.done(SUMMARY, []));
    const most = Math.ceil(WINDOW_BYTES / FRAME_BYTES);
    await until('as much is sent as may be', () => sent === most);
    await Promise.all([quick.writer.frames(frames.slice(0, 4)), quick.writer.done(SUMMARY, [])]);
    assert.equal(await framesToTheEnd(quick.inbox), 4);
    assert.equal(sent, most);
    assert.equal(await framesToTheEnd(slow.inbox), FRAMES);
    await Promise.all(written);
  });

  describe('offers a job', () => {
    const JOB: LiveJob = {
      ...{ name: 'live' as const, requestId: 'known', attempt: 1, modelId: 'small', frames: { start: 0, end: 1 } },
      ...{ startFrameIndex: 0, totalSamples: 0, firstSample: 0, rowsAhead: 7 },
      ...{ output: 'jpeg' as const, jpegQuality: 75, expiresAtMs: 0 },
    };
    /** A worker that has connected; its version says its id, or does not. */
    const connected = async (name: string, version: { workerId?: string }, onOffer?: OnOffer) => {
      const its = new FrameLink(listener.address, onOffer);
      const { writer } = request(name, { link: its, ...version });
      await writer.open();
      return its;
    };
    /** Whether it was offered, and taken. */
    const offer = async (name: string) => {
      const { inbox } = request(`offered-${name}`);
      if (!listener.offer(name, inbox, { ...JOB, requestId: inbox.requestId }, 0)) return 'not offered';
      return (await inbox.isTaken(5000)) ? 'taken' : 'declined';
    };

    it('to a worker that says its id, once it is connected and as long as it is', async () => {
      assert.equal(await offer('new'), 'not offered');
      const take: OnOffer = (_, begin) =>
        void begin({ granted: () => {}, refused: () => {}, read: () => {}, lost: () => {} });
      const its = await connected('first-new', { workerId: 'new' }, take);
      assert.equal(await offer('new'), 'taken');
      its.close();
      await until('it has gone', async () => (await offer('new')) === 'not offered');
    });

    it('to none of a version that says no id, and hears when one declines', async () => {
      const old = await connected('first-old', {});
      assert.equal(await offer('old'), 'not offered');
      const full = await connected('first-full', { workerId: 'full' });
      assert.equal(await offer('full'), 'declined');
      for (const its of [old, full]) its.close();
    });
  });

  for (const [what, message] of Object.entries({
    'a wrong token': (inbox: DirectInbox) => open(inbox, { token: `${inbox.token.slice(0, -1)}!` }),
    'a frame before a token': () => numbersMessage(KIND.frame, 1, 0, 10),
    'too large a length': () => header(KIND.open, 1, 1_000_000),
    'bytes before a token': () => Buffer.concat([header(KIND.bytes, 1, 5), Buffer.from('hello')]),
    'another protocol': () => Buffer.from('GET / HTTP/1.1\r\nHost: farm\r\n\r\n'),
    'an order that is none': () => jsonMessage(KIND.open, 1, { version: 'new' }),
    'too large a frame': (inbox: DirectInbox) =>
      Buffer.concat([open(inbox), numbersMessage(KIND.frame, 1, 0, 0xffff_ffff)]),
    'more bytes than its frame has': (inbox: DirectInbox) =>
      Buffer.concat([open(inbox), numbersMessage(KIND.frame, 1, 0, 1), header(KIND.bytes, 1, 2), Buffer.from('ab')]),
  })) {
    it(`closes a connection that sends ${what}`, async () => {
      const { inbox } = request(`closed: ${what}`.slice(0, 60));
      const socket = await stranger();
      socket.write(message(inbox));
      await closed(socket);
    });
  }

  it('closes a connection that says nothing, or only names requests that there are not', async () => {
    const { inbox } = request('known');
    const [silent, guessing] = [await stranger(), await stranger()];
    for (let run = 0; run < 20; run++) guessing.write(open(inbox, { requestId: `guess-${run}` }));
    await Promise.all([closed(silent), closed(guessing)]);
  });

  it('has no more connections than it may', async () => {
    const before = listener.connections;
    const sockets = await Promise.all(Array.from({ length: MOST_CONNECTIONS + 10 }, () => stranger()));
    await until('those that are too many are closed', () => sockets.filter(({ closed }) => closed).length >= 10);
    assert.ok(listener.connections <= MOST_CONNECTIONS);
    for (const socket of sockets) socket.destroy();
    await until('the others have gone', () => listener.connections <= before);
  });

  it('closes a connection over which nothing runs when there is one too many', async () => {
    const { inbox } = request('idle');
    const idle = await stranger();
    idle.write(Buffer.concat([open(inbox), jsonMessage(KIND.leave, 1)]));
    await until('its run has ended', () => inbox.takenAtMs !== undefined && !inbox.isConnected);
    const before = listener.connections;
    const sockets = await Promise.all(Array.from({ length: MOST_CONNECTIONS + 1 - before }, () => stranger()));
    await closed(idle);
    for (const socket of sockets) socket.destroy();
    await until('the others have gone', () => listener.connections < before);
  });

  it('has a folder of its own where the path under storage.root is too long, and removes it', async () => {
    const far = await FrameListener.start(
      { ...settings, storageRoot: path.join(storageRoot, 'x'.repeat(100)) },
      QUIET_LOG,
    );
    const folder = path.dirname(far.address.slice('unix:'.length));
    assert.deepEqual(await readdir(folder), [path.basename(far.address)]);
    await far.close();
    await assert.rejects(readdir(folder), { code: 'ENOENT' });
  });

  it('outlives whatever is sent to it', async () => {
    const random = new Random(7);
    for (let run = 0; run < FUZZ_RUNS; run++) {
      const { inbox } = request(`fuzz-${run}`);
      const whole = Buffer.concat([
        open(inbox),
        numbersMessage(KIND.frame, 1, 0, 100),
        header(KIND.bytes, 1, 100),
        Buffer.alloc(100, 1),
        jsonMessage(KIND.done, 1, SUMMARY),
      ]);
      for (let change = random.below(4); change >= 0; change--) whole[random.below(whole.length)] = random.below(256);
      const socket = await stranger();
      const cut = random.below(whole.length);
      socket.write(whole.subarray(0, cut));
      socket.end(whole.subarray(cut));
      await closed(socket);
      listener.remove(inbox);
    }
    const { inbox, writer } = request('after it all');
    await writer.open();
    await writer.done(SUMMARY, []);
    assert.equal(await framesToTheEnd(inbox), 0);
  });
});
