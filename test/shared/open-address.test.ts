import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grpcHost, isLoopback, keptToThisMachine, refuseOpenAddress } from '../../shared/config/open-address.ts';
import { load } from './config-files.ts';

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
