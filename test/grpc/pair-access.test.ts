import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { METHOD_ROLES } from '../../api/grpc/auth.ts';
import { startGrpc } from '../../api/grpc/server.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { hashApiKey } from '../../shared/api-keys.ts';
import { createLogger, UNBUFFERED } from '../../shared/process/log.ts';
import { startApi } from '../support/api.ts';
import { COMPOSITING, FARM, failureOf, farmCode, HEALTH, INFERENCE, MONOLITHIC } from './clients.ts';
import { CompositingClient, InferenceClient } from './pair-clients.ts';
import { reflectedServices } from './reflection.ts';

/** The ports of the separated pair, on a front end without workers. */

const KEYS = { render: 'a-key-that-may-render', operate: 'a-key-that-may-operate' };
const ports = [await freePort(), await freePort(), await freePort()];
const [main, compositingPort, inferencePort] = ports.map((port) => `127.0.0.1:${port}`) as [string, string, string];
const { services } = await startApi({
  server: { port: main, compositing_port: compositingPort, inference_port: inferencePort },
  auth: { keys: Object.entries(KEYS).map(([role, key]) => ({ name: role, role, sha256: hashApiKey(key) })) },
  limits: { live_wait_seconds: 1, memory_budget_mb: 40 },
});
const server = await startGrpc(services, createLogger('api', { ...UNBUFFERED, level: 'silent' }));
const compositing = new CompositingClient(compositingPort);
const inference = new InferenceClient(inferencePort);
const clients = [compositing, inference];
test.after(async () => {
  for (const client of clients) client.close();
  await server.drain(0);
});

test('each port has its own service, with health and reflection, and no other', async () => {
  for (const [address, own, others] of [
    [main, [MONOLITHIC, FARM], [COMPOSITING, INFERENCE]],
    [compositingPort, [COMPOSITING], [MONOLITHIC, INFERENCE]],
    [inferencePort, [INFERENCE], [MONOLITHIC, COMPOSITING]],
  ] as const) {
    const names = await reflectedServices(address);
    for (const name of [...own, HEALTH]) assert.ok(names.includes(name), `${name} in ${names}`);
    for (const name of others) assert.ok(!names.includes(name), `${name} not in ${names}`);
  }
  assert.equal(await inference.healthStatus(INFERENCE), 'NOT_SERVING', 'there is no worker');
  assert.equal((await failureOf(inference.healthStatus(COMPOSITING))).code, status.NOT_FOUND);
  const wrong = await failureOf(inference.unary(COMPOSITING, 'Health', {}, { key: KEYS.render }));
  assert.equal(wrong.code, status.UNIMPLEMENTED);
  assert.ok(wrong.details.includes(`it is at server.compositing_port, which is ${compositingPort}`), wrong.details);
});

test('every call needs a key with its role', async () => {
  for (const client of clients) {
    const nobody = await failureOf(client.ask('ListModels', {}));
    assert.deepEqual([nobody.code, farmCode(nobody)], [status.UNAUTHENTICATED, 'unauthorised']);
    await client.ask('ListModels', {}, { key: KEYS.render });
    for (const refused of [
      client.unload('demo', { key: KEYS.render }),
      client.load('demo', true, { key: KEYS.render }),
    ]) {
      const error = await failureOf(refused);
      assert.deepEqual([error.code, farmCode(error)], [status.PERMISSION_DENIED, 'forbidden']);
    }
    const unloaded = await client.unload('demo', { key: KEYS.operate });
    assert.match(unloaded.error, /^request_invalid: .*not loaded/);
  }
  const paired = Object.keys(METHOD_ROLES).filter((path) => /compositing|inference/.test(path));
  assert.equal(paired.length, 12);
});

test('a request whose mouths would not fit into the memory is refused before anything is made', async () => {
  const request = { raw_audio: Buffer.alloc(4 * 640), batch_size: 50 };
  const large = await failureOf(inference.ask('InferBatch', request, { key: KEYS.render }));
  assert.deepEqual([large.code, farmCode(large)], [status.RESOURCE_EXHAUSTED, 'memory_full']);
  const small = await failureOf(inference.ask('InferBatch', { ...request, batch_size: 1 }, { key: KEYS.render }));
  assert.equal(farmCode(small), 'deadline_exceeded', 'which nobody was there to take');
  assert.equal(services.memory.heldBytes < 2 ** 20, true, 'nothing is kept of either');
});

test('without workers both say that they are not healthy', async () => {
  const ask = async (client: CompositingClient | InferenceClient) =>
    await client.ask<Record<string, unknown>>('Health', {}, { key: KEYS.render });
  const own = await ask(compositing);
  assert.deepEqual(
    [own.healthy, own.inference_server_healthy, own.inference_server_url],
    [false, false, inferencePort],
  );
  const other = await ask(inference);
  assert.deepEqual([other.healthy, other.gpu_count, other.gpus, other.cuda_available], [false, 0, [], false]);
});
