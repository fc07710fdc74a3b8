import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grpcAddresses, isLoopback, keptToThisMachine, refuseOpenAddress } from '../../shared/config/open-address.ts';
import { load } from './config-files.ts';

const grpcHost = (config: Parameters<typeof grpcAddresses>[0]) => grpcAddresses(config)[0]?.host;
const KEYS = { api_keys: ['a-key-of-this-test'] };
const HERE = ['127.0.0.1', '127.8.9.10', 'localhost', 'LOCALHOST', '::1', '[::1]', '::ffff:127.0.0.1'];
const ELSEWHERE = ['0.0.0.0', '::', '[::]', '192.168.1.5', '127.0.0.1.example.com', '0', '127.1', 'farm.local', ''];

test('an address is loopback, or it is not', () => {
  for (const host of HERE) assert.ok(isLoopback(host), host);
  for (const host of ELSEWHERE) assert.ok(!isLoopback(host), host);
});

test('a farm without keys refuses every address but loopback, for HTTP and for gRPC, and says what opens it', () => {
  for (const host of ELSEWHERE.filter((name) => name !== '')) {
    const port = `${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:50053`;
    for (const [key, settings] of [
      ['http.host', { http: { host } }] as const,
      ['server.port', { server: { port } }] as const,
      ['server.compositing_port', { server: { compositing_port: port } }] as const,
      ['server.inference_port', { server: { inference_port: port } }] as const,
    ]) {
      assert.throws(
        () => refuseOpenAddress(load(settings)),
        (error: Error & { code: string }) => {
          assert.equal(error.code, 'access_open');
          assert.ok(error.message.startsWith(`${key} (`), error.message);
          return true;
        },
      );
      refuseOpenAddress(load({ ...settings, auth: KEYS }));
      refuseOpenAddress(load({ ...settings, auth: { open_to_network: true } }));
    }
  }
  for (const host of HERE) refuseOpenAddress(load({ http: { host } }));
});

test('the ":50053" of the old server starts: on loopback without a key, on every address with one', () => {
  for (const port of [':50053', '50053', 50053]) {
    const open = load({ server: { port } });
    refuseOpenAddress(open);
    assert.equal(grpcHost(open), '127.0.0.1');
    assert.match(keptToThisMachine(open) ?? '', /listens on 127\.0\.0\.1:50053 only; set auth\.keys/);
    for (const auth of [KEYS, { open_to_network: true }]) {
      const config = load({ server: { port }, auth });
      assert.equal(grpcHost(config), '0.0.0.0');
      assert.equal(keptToThisMachine(config), undefined);
    }
  }
  assert.equal(keptToThisMachine(load({})), undefined);
});

test('the ports of the separated pair take the same forms, and are off by default', () => {
  const off = [{}, ...[0, '', ':0', null].map((port) => ({ compositing_port: port, inference_port: port }))];
  for (const server of off) assert.equal(grpcAddresses(load({ server })).length, 1);
  const both = load({ server: { compositing_port: ':50052', inference_port: '[::1]:50051' } });
  assert.deepEqual(grpcAddresses(both).slice(1), [
    { key: 'server.compositing_port', host: '127.0.0.1', port: 50_052 },
    { key: 'server.inference_port', host: '[::1]', port: 50_051 },
  ]);
  assert.match(keptToThisMachine(both) ?? '', /^server\.compositing_port names no address.* 127\.0\.0\.1:50052 only/);
  assert.deepEqual(
    grpcAddresses(load({ server: { inference_port: 50_051 }, auth: KEYS })).map(({ host }) => host),
    ['127.0.0.1', '0.0.0.0'],
  );
});
