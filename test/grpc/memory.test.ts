import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants } from 'node:http2';
import { connect } from 'node:net';
import { after, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startGrpc } from '../../api/grpc/server.ts';
import { createLogger } from '../../shared/process/log.ts';
import { MB } from '../../shared/units.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';
import { until } from '../support/until.ts';
import { FARM, MONOLITHIC, TestClient } from './clients.ts';
import { RawClient } from './raw-calls.ts';

/** Three copies of a message of 10 MB fit twice. */
const BUDGET_MB = 64;
const CONNECTIONS = 3;
const SLOW_MS = 300;

const { services } = await startApi({
  models: { demo: DEMO_MODEL },
  server: { port: '127.0.0.1:0' },
  limits: { memory_budget_mb: BUDGET_MB, max_connections: CONNECTIONS },
});
const { memory } = services;
const log = createLogger('api', { ...services.config.logging, level: 'silent' });
const server = await startGrpc(services, log);
/** Waits for nobody for longer than a moment. */
const hasty = await startGrpc(services, log, 200);
const slow = await startGrpc(Object.assign({}, services, { submission: slowly(services.submission) }), log);
after(() => Promise.all([server, hasty, slow].map((each) => each.drain(1000))));

const FULL = { status: '8', code: 'memory_full' };
const untilFree = () => until('nothing is held', () => memory.heldBytes === 0);

/** The same, but an upload is read only once its sender sends no more. */
function slowly(submission: typeof services.submission): typeof services.submission {
  return new Proxy(submission, {
    get:
      (_, name: keyof typeof submission) =>
      async (...args: never[]) => {
        if (name === 'storeUpload') await untilNothingComes();
        return await (submission[name] as (...args: never[]) => unknown)(...args);
      },
  });
}

async function untilNothingComes(): Promise<void> {
  for (let held = -1; held !== memory.heldBytes; ) {
    held = memory.heldBytes;
    await delay(SLOW_MS);
  }
}

it('messages that are announced are refused when there is no room for them, before they are sent', async () => {
  using client = await RawClient.connect(server.address);
  const [first, second, third] = [client.call(), client.call(), client.call()];
  for (const call of [first, second]) call.announce(10 * MB);
  await until('both are counted', () => memory.heldBytes > 60 * MB);
  third.announce(10 * MB);
  assert.deepEqual(await third.refused, FULL);
  // Small ones still pass.
  const small = client.call();
  small.announce(1);
  small.stream.end(Buffer.alloc(1));
  assert.notEqual((await small.refused).code, 'memory_full');
  first.stream.close();
  await until('its room is free again', () => memory.heldBytes < 40 * MB);
  const fourth = client.call();
  fourth.announce(10 * MB);
  await until('it is counted', () => memory.heldBytes > 60 * MB);
  client.session.destroy();
  await untilFree();
});

it('a call that was refused is over, and takes nothing any more, though its client holds it open', async () => {
  using client = await RawClient.connect(server.address);
  const call = client.call();
  const closed = once(call.stream, 'close');
  call.announce(30 * MB);
  assert.deepEqual(await call.refused, FULL);
  await untilFree();
  await closed;
});

it('calls that need no key take nothing of the budget of the others', async () => {
  using client = await RawClient.connect(server.address);
  const call = client.call('/grpc.health.v1.Health/Watch');
  call.announce(30 * MB);
  assert.deepEqual(await call.refused, FULL);
  const watching = client.call('/grpc.health.v1.Health/Watch');
  watching.announce(0);
  watching.stream.end();
  await once(watching.stream, 'response');
  assert.equal(memory.heldBytes, 0);
});

it('an answer that shows a text as long as a message can be is one that clients can read', async (t) => {
  const client = new TestClient(server.address);
  t.after(() => client.close());
  await assert.rejects(client.unary(FARM, 'GetRender', { render_id: 'r'.repeat(MB) }), { code: 5 });
  await untilFree();
});

it('a message that would grow when it is unpacked is counted with what it may grow to', async () => {
  using client = await RawClient.connect(server.address);
  const call = client.call();
  call.announce(100_000, true);
  assert.deepEqual(await call.refused, FULL);
});

it('a stream may carry more than the budget in many messages: they are taken, one after the other', async (t) => {
  const client = new TestClient(slow.address);
  t.after(() => client.close());
  const piece = { audio: Buffer.alloc(2 * MB) };
  const pieces = Array.from({ length: 36 }, () => piece);
  const { status } = await client.upload<{ status: string }>(FARM, 'SubmitRender', [{ spec: {} }, ...pieces]);
  assert.equal(status, 'QUEUED');
  await untilFree();
});

it('a call that has been answered leaves nothing behind', async (t) => {
  const client = new TestClient(server.address);
  t.after(() => client.close());
  const message = { model_id: 'demo', raw_audio: Buffer.alloc(8 * MB), batch_size: 99 };
  for (let time = 0; time < 5; time++) await client.unary(MONOLITHIC, 'InferBatchComposite', message);
  await untilFree();
});

it('a request that does not come in time is not waited for, and not kept while its caller leaves the call open', async () => {
  using client = await RawClient.connect(hasty.address);
  const [silent, stalled, halfway, endless] = [client.call(), client.call(), client.call(), client.call()];
  stalled.announce(100);
  halfway.announce(100);
  await halfway.send(Buffer.alloc(99));
  endless.announce(100);
  await endless.send(Buffer.alloc(100));
  for (const call of [silent, stalled, halfway, endless]) {
    assert.deepEqual(await call.refused, { status: '4', code: 'request_timed_out' });
  }
  await untilFree();
});

it('an answer that nobody takes is not kept', async () => {
  // The farm may send no byte of an answer to this one.
  using client = await RawClient.connect(hasty.address, { initialWindowSize: 0 });
  const call = client.call();
  const closed = once(call.stream, 'close');
  call.announce(0);
  call.stream.end();
  await closed;
  assert.equal(call.stream.rstCode, constants.NGHTTP2_CANCEL);
  await untilFree();
});

it('more connections than are configured are not held', async () => {
  using ends = new DisposableStack();
  for (let count = 0; count < CONNECTIONS; count++) ends.use(await RawClient.connect(server.address));
  const [host, port] = server.address.split(':');
  const socket = connect(Number(port), host);
  socket.on('error', () => {});
  await once(socket, 'close');
});
