import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { type ServiceError, status } from '@grpc/grpc-js';
import { startGrpc } from '../../api/grpc/server.ts';
import { createLogger } from '../../shared/process/log.ts';
import { startApi } from '../support/api.ts';
import { DEMO_MODEL } from '../support/farm.ts';
import { FARM, failureOf, farmCode, MONOLITHIC, TestClient } from './clients.ts';

const [client, onlyOne] = [
  await serve({ ann: DEMO_MODEL, ben: DEMO_MODEL }),
  // An empty model_id means something where there is one model only.
  await serve({ demo: DEMO_MODEL }),
];

/** A client of a front end without workers, with these models. */
async function serve(models: object): Promise<TestClient> {
  const { services } = await startApi({ models, server: { port: '127.0.0.1:0' } });
  const server = await startGrpc(services, createLogger('api', { ...services.config.logging, level: 'silent' }));
  const connected = new TestClient(server.address);
  after(async () => {
    connected.close();
    await server.drain(1000);
  });
  return connected;
}

const METHODS = [
  ...['InferBatchComposite', 'LoadModel', 'UnloadModel', 'GetModelStats'].map((name) => `/${MONOLITHIC}/${name}`),
  ...['Stream', 'SubmitRender', 'SubmitBatch', 'EstimateRender', 'ListRenders'].map((name) => `/${FARM}/${name}`),
  ...['GetRender', 'WatchRender', 'CancelRender', 'RetryRender'].map((name) => `/${FARM}/${name}`),
];

/** Sends bytes as one message to any method: resolves with the failure, or with nothing when there is none. */
async function send(path: string, bytes: Buffer): Promise<ServiceError | undefined> {
  const call = client.makeBidiStreamRequest(
    path,
    (raw: Buffer) => raw,
    (raw: Buffer) => raw,
  );
  call.write(bytes);
  call.end();
  try {
    for await (const _ of call);
    return undefined;
  } catch (error) {
    return error as ServiceError;
  }
}

it('bytes that are no message are a fault of whoever sent them, and say so', async () => {
  for (const path of METHODS) {
    const error = await send(path, Buffer.from([0x0a, 0xff, 0xff, 0xff]));
    assert.equal(error?.code, status.INVALID_ARGUMENT, path);
    assert.equal(error && farmCode(error), 'request_invalid', path);
    assert.ok(error?.details.startsWith(`Not a message of ${path}: `), error?.details);
  }
});

it('no message makes a fault of the farm', async () => {
  const random = seeded(23);
  const byte = () => Math.floor(random() * 256);
  for (let round = 0; round < 300; round++) {
    const path = METHODS[round % METHODS.length] as string;
    // A field with a tag that exists, of a length that is there, and whatever.
    const value = Buffer.from(Array.from({ length: byte() % 20 }, byte));
    const tag = ((1 + (byte() % 9)) << 3) | ([0, 2, 2, 5][byte() % 4] ?? 0);
    const bytes = Buffer.concat([Buffer.from([tag, value.length]), value]);
    const error = await send(path, bytes);
    const isFault = error?.code === status.INTERNAL || error?.code === status.UNKNOWN;
    assert.ok(!isFault, `round ${round}: ${error?.message} to ${path} ${bytes.toString('hex')}`);
  }
});

it('an empty model_id means the only model, and with several is refused, over every call', async () => {
  const { error } = await onlyOne.unary<{ error: string }>(MONOLITHIC, 'UnloadModel', {});
  assert.match(error, /Model "demo" is not loaded/);
  const message = 'model_id: got nothing, expected one of: ann, ben';
  for (const [method, request] of [
    ['UnloadModel', {}],
    ['LoadModel', {}],
    ['InferBatchComposite', { batch_size: 1, raw_audio: Buffer.alloc(4) }],
  ] as const) {
    assert.equal(await refusal(method, request), `request_invalid: ${message}`, method);
  }
  const stream = client.stream();
  stream.write({ open: {} as never });
  const upload = client.upload(FARM, 'SubmitRender', [{ spec: {} }, { audio: Buffer.from('sound') }]);
  for (const failing of [stream.toArray(), upload]) {
    const { code, details } = await failureOf(failing);
    assert.deepEqual([code, details], [status.INVALID_ARGUMENT, message]);
  }
});

async function refusal(method: string, request: object): Promise<string> {
  return (await client.unary<{ error: string }>(MONOLITHIC, method, request)).error;
}

/** Numbers in [0, 1), always the same. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
