import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { credentials, loadPackageDefinition, type ServiceClientConstructor, status } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { startFarm } from '../support/farm.ts';
import { FARM, failureOf, farmCode, HEALTH, type Message, MONOLITHIC, TestClient } from './clients.ts';

const run = promisify(execFile);
const KEY = 'a-key-of-this-test';
const REFLECTION_PROTO = new URL(
  'build/proto/grpc/reflection/v1/reflection.proto',
  import.meta.resolve('@grpc/reflection/package.json'),
);

describe('access over gRPC', () => {
  it('needs one of the keys where keys are configured; health and reflection are open', async () => {
    await using farm = await startFarm({ auth: { api_keys: ['another-key', KEY] } });
    const client = new TestClient(farm.grpcAddress);
    const calls = (key: string | undefined) => {
      const settings = key === undefined ? {} : { key };
      return [
        client.unary(MONOLITHIC, 'ListModels', {}, settings),
        client.unary(MONOLITHIC, 'InferBatchComposite', { model_id: 'demo' }, settings),
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
    await client.untilHealth('SERVING');
    assert.ok((await reflectedServices(farm.grpcAddress)).length > 0);
    client.close();
  });

  it('shows its services by reflection, unless that is switched off', async () => {
    {
      await using farm = await startFarm();
      const services = await reflectedServices(farm.grpcAddress);
      for (const name of [MONOLITHIC, FARM, HEALTH]) assert.ok(services.includes(name), `${name} in ${services}`);
    }
    await using farm = await startFarm({ grpc: { reflection: false } });
    await assert.rejects(reflectedServices(farm.grpcAddress), { code: status.UNIMPLEMENTED });
  });

  describe('with TLS', async () => {
    const hasOpenssl = await run('openssl', ['version']).then(
      () => true,
      () => false,
    );
    const skip = hasOpenssl ? false : 'openssl is not installed; it makes the certificates of this test';
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-tls-'));
    after(async () => await rm(folder, { recursive: true, force: true }));
    const file = (name: string) => path.join(folder, name);

    it('serves over TLS only', { skip }, async () => {
      await makeCertificate(file('server'));
      await using farm = await startFarm({
        grpc: { tls: { cert_path: file('server.crt'), key_path: file('server.key') } },
      });
      const secure = new TestClient(farm.grpcAddress, credentials.createSsl(await readFile(file('server.crt'))));
      await secure.untilHealth('SERVING');
      const plain = new TestClient(farm.grpcAddress);
      assert.equal((await failureOf(plain.healthStatus())).code, status.UNAVAILABLE);
      for (const client of [secure, plain]) client.close();
    });

    it('asks clients for a certificate where an authority is configured', { skip }, async () => {
      await Promise.all(['server', 'client', 'stranger'].map((name) => makeCertificate(file(name))));
      const tls = { cert_path: file('server.crt'), key_path: file('server.key'), ca_path: file('client.crt') };
      await using farm = await startFarm({ grpc: { tls } });
      const root = await readFile(file('server.crt'));
      const as = async (name: string) => {
        const pair = [await readFile(file(`${name}.key`)), await readFile(file(`${name}.crt`))] as const;
        return new TestClient(farm.grpcAddress, credentials.createSsl(root, ...pair));
      };
      const [known, stranger] = [await as('client'), await as('stranger')];
      await known.untilHealth('SERVING');
      assert.equal((await failureOf(stranger.healthStatus())).code, status.UNAVAILABLE);
      for (const client of [known, stranger]) client.close();
    });

    it('does not start with a certificate that is not there, and names the key', async () => {
      const starting = startFarm({ grpc: { tls: { cert_path: file('nothing.crt'), key_path: file('nothing.key') } } });
      await assert.rejects(starting.then((farm) => farm[Symbol.asyncDispose]()));
    });
  });
});

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

/** The names that grpcurl would list. */
async function reflectedServices(address: string): Promise<string[]> {
  const { grpc } = loadPackageDefinition(loadSync(REFLECTION_PROTO.pathname, { keepCase: true })) as unknown as {
    grpc: { reflection: { v1: { ServerReflection: ServiceClientConstructor } } };
  };
  const client = new grpc.reflection.v1.ServerReflection(address, credentials.createInsecure());
  const call = client.ServerReflectionInfo?.();
  try {
    call.write({ list_services: '' });
    for await (const { list_services_response } of call) {
      return list_services_response.service.map(({ name }: { name: string }) => name);
    }
    throw new Error('No answer');
  } finally {
    call.cancel();
    client.close();
  }
}
