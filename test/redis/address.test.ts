import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readGuidedAddress } from '../../shared/redis/address.ts';
import { withoutSecrets } from '../../shared/secrets.ts';
import { complaints, load } from '../config/config-files.ts';

test('an address names Sentinels, the primary, who asks and which database', () => {
  const url = 'rediss+sentinel://fa%40rm:p%2Fw@one.test,[::1]:7000,10.0.0.1:26380/mine/3';
  assert.deepEqual(readGuidedAddress(url), {
    kind: 'sentinel',
    guides: [
      { host: 'one.test', port: 26_379 },
      { host: '::1', port: 7000 },
      { host: '10.0.0.1', port: 26_380 },
    ],
    isTls: true,
    username: 'fa@rm',
    password: 'p/w',
    primaryName: 'mine',
    db: 3,
  });
});

test('an address names nodes of a cluster', () => {
  const found = readGuidedAddress('redis+cluster://:secret@a:1,b');
  assert.ok(found);
  const { kind, guides, isTls, password, username } = found;
  assert.deepEqual(
    { kind, isTls, password, username },
    {
      kind: 'cluster',
      isTls: false,
      password: 'secret',
      username: undefined,
    },
  );
  assert.deepEqual(
    guides.map(({ host, port }) => `${host} ${port}`),
    ['a 1', 'b 6379'],
  );
});

const WRONG: [what: string, url: string, answer: RegExp][] = [
  ['Sentinels without the name of a primary', 'redis+sentinel://a:1,b:2', /name of the primary is missing/],
  ['a cluster with a database', 'redis+cluster://a:1/2', /one database/],
  ['no hosts', 'redis+cluster://', /expected redis\+sentinel/],
  ['another kind', 'redis+proxy://a:1', /expected redis\+sentinel/],
  ['a port that is none', 'redis+cluster://a:port', /expected hosts as host:port/],
];

for (const [what, url, answer] of WRONG) {
  test(`the configuration refuses ${what}, in redis.url and in REDIS_URL`, () => {
    const [line = ''] = complaints({ redis: { url } });
    assert.match(line, answer);
    assert.match(line, /^redis\.url: not valid; /);
    assert.throws(() => load({}, { REDIS_URL: url }), { code: 'config_invalid', message: answer });
  });
}

test('files of TLS beside an address without TLS are refused, and relative ones begin at the configuration', () => {
  const tls = { ca_path: 'ca.crt' };
  assert.match(
    complaints({ redis: { url: 'redis://a', tls } }).join(),
    /^redis\.tls\.ca_path: .* and not with rediss$/,
  );
  assert.match(load({ redis: { url: 'rediss://a', tls } }).redis.tls.ca_path, /^\/.+\/ca\.crt$/);
});

test('passwords of the primary, of the Sentinels and of the second Redis are never said', () => {
  const url = 'redis+sentinel://farm:first-secret@a:1,b:2/mine';
  load({ redis: { url, live_url: 'redis://:third-secret@c', sentinel: { password: 'second-secret' } } });
  const said = withoutSecrets(`${url} first-secret second-secret third-secret`);
  assert.doesNotMatch(said, /secret/);
  assert.match(said, /a:1,b:2\/mine/);
});
