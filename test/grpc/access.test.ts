import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { credentials, status } from '@grpc/grpc-js';
import type { Open } from '../../api/grpc/messages/farm.ts';
import { startGrpc } from '../../api/grpc/server.ts';
import { freePort } from '../../cli/supervisor/private-redis.ts';
import { hashApiKey } from '../../shared/api-keys.ts';
import { createLogger } from '../../shared/process/log.ts';
import { startApi } from '../support/api.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';
import { until } from '../support/until.ts';
import { FARM, failureOf, farmCode, HEALTH, type Message, MONOLITHIC, TestClient } from './clients.ts';
import { reflectedServices } from './reflection.ts';

const run = promisify(execFile);
const KEY = 'a-key-of-this-test';
/** What the health service says in these tests: there is a front end and nothing else. */
const WITHOUT_WORKERS = 'NOT_SERVING';
const LOG = createLogger('api', {
  level: 'silent',
  buffered_logging: false,
  auto_flush: false,
  flush_interval_ms: 0,
});
const NO_OPENSSL = await run('openssl', ['version']).then(
  () => false,
  () => 'openssl is not installed; it makes the certificates of these tests',
);

describe('access over gRPC', () => {
  it('needs one of the keys where keys are configured; health and reflection are open', async (t) => {
    const address = await serve(t, { auth: { api_keys: ['another-key', KEY] } });
    const client = clientOf(t, address);
    const calls = (key: string | undefined) => {
      const settings = key === undefined ? {} : { key };
      return [
        client.unary(MONOLITHIC, 'ListModels', {}, settings),
        // Answered, as unknown models are, with success = false.
        client.unary(MONOLITHIC, 'InferBatchComposite', { model_id: 'nobody' }, settings),
        end(client.stream(settings)),
        client.upload(FARM, 'SubmitRender', [{ audio: Buffer.alloc(10) }], settings),
        end(client.watch(FARM, 'WatchRender', { render_id: 'r0-00' }, settings)),
      ];
    };
    for (const key of [undefined, '', 'a-wrong-key']) {
      for (const call of calls(key)) {
        const error = await failureOf(call);
        assert.deepEqual([error.code, farmCode(error)], [status.UNAUTHENTICATED, 'unauthorised']);
      }
    }
    const codes = await Promise.all(
      calls(KEY).map((call) =>
        call.then(
          () => 0,
          (error: { code: number }) => error.code,
        ),
      ),
    );
    assert.deepEqual(codes, [0, 0, status.INVALID_ARGUMENT, status.INVALID_ARGUMENT, status.NOT_FOUND]);
    assert.equal(await client.healthStatus(), WITHOUT_WORKERS);
    const services = await reflectedServices(address);
    for (const name of [MONOLITHIC, FARM, HEALTH]) assert.ok(services.includes(name), `${name} in ${services}`);
  });

  it('counts the streams of a key also while there is no GPU that could make their frames', async (t) => {
    await buildSmallAvatar();
    const talker = { name: 'talker', sha256: hashApiKey(KEY), role: 'render', max_streams: 1 };
    const client = clientOf(t, await serve(t, { models: { small: SMALL_MODEL }, auth: { keys: [talker] } }));
    const open = async () => {
      const stream = client.stream({ key: KEY });
      stream.write({ open: { model_id: 'small' } as Open });
      await once(stream, 'data');
      return stream.on('error', () => {});
    };
    const first = await open();
    assert.equal(farmCode(await failureOf(open())), 'key_limit_reached');
    first.cancel();
    const opensAgain = async () => {
      (await open()).cancel();
      return true;
    };
    await until('the first has left its place', () => opensAgain().catch(() => false));
  });

  it('answers no HTTP/1.1, which is all that a page can have a browser send here', async (t) => {
    const [host, port] = (await serve(t, {})).split(':');
    const head = ['POST /monolithic.MonolithicService/ListModels HTTP/1.1', 'Host: evil.test', 'Content-Length: 5'];
    const socket = connect(Number(port), host).end(`${head.join('\r\n')}\r\n\r\nhello`);
    let answer = '';
    for await (const data of socket) answer += data.toString('latin1');
    assert.doesNotMatch(answer, /HTTP\/1/);
  });

  it('shows no services by reflection when that is switched off', async (t) => {
    const address = await serve(t, { grpc: { reflection: false } });
    await assert.rejects(reflectedServices(address), { code: status.UNIMPLEMENTED });
  });

  describe('with TLS', { skip: NO_OPENSSL }, () => {
    let folder = '';
    const file = (name: string) => path.join(folder, name);
    before(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'farm-test-tls-'));
      await Promise.all(['server', 'client', 'stranger'].map((name) => makeCertificate(file(name))));
    });
    after(async () => await rm(folder, { recursive: true, force: true }));

    it('serves over TLS only', async (t) => {
      const address = await serve(t, {
        grpc: { tls: { cert_path: file('server.crt'), key_path: file('server.key') } },
      });
      const secure = clientOf(t, address, credentials.createSsl(await readFile(file('server.crt'))));
      assert.equal(await secure.healthStatus(), WITHOUT_WORKERS);
      const plain = clientOf(t, address);
      assert.equal((await failureOf(plain.healthStatus())).code, status.UNAVAILABLE);
    });

    it('asks clients for a certificate where an authority is configured', async (t) => {
      const tls = { cert_path: file('server.crt'), key_path: file('server.key'), ca_path: file('client.crt') };
      const address = await serve(t, { grpc: { tls } });
      const root = await readFile(file('server.crt'));
      const as = async (name: string) => {
        const pair = [await readFile(file(`${name}.key`)), await readFile(file(`${name}.crt`))] as const;
        return clientOf(t, address, credentials.createSsl(root, ...pair));
      };
      const [known, stranger] = [await as('client'), await as('stranger')];
      assert.equal(await known.healthStatus(), WITHOUT_WORKERS);
      assert.equal((await failureOf(stranger.healthStatus())).code, status.UNAVAILABLE);
    });
  });

  it('does not start with a certificate that is not there, and names the key', async (t) => {
    const tls = { cert_path: '/nowhere/server.crt', key_path: '/nowhere/server.key' };
    await assert.rejects(serve(t, { grpc: { tls } }), {
      code: 'config_invalid',
      message: /^grpc\.tls\.cert_path: got \/nowhere\/server\.crt/,
    });
  });
});

/** Starts the gRPC server of a front end without workers until the test ends; returns its address. */
async function serve(t: TestContext, settings: Record<string, object>): Promise<string> {
  const { services } = await startApi({ ...settings, server: { port: `127.0.0.1:${await freePort()}` } });
  const server = await startGrpc(services, LOG);
  t.after(() => server.drain(0));
  return server.address;
}

function clientOf(t: TestContext, address: string, access = credentials.createInsecure()): TestClient {
  const client = new TestClient(address, access);
  t.after(() => client.close());
  return client;
}

async function makeCertificate(base: string): Promise<void> {
  await run('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', `${base}.key`, '-out', `${base}.crt`],
  ]);
}

/** Reads a stream to its end; rejects with its error. */
async function end(stream: ReturnType<TestClient['watch']> | ReturnType<TestClient['stream']>): Promise<void> {
  if ('end' in stream) stream.end();
  for await (const _ of stream as AsyncIterable<Message>);
}
