import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashApiKey } from '../../shared/api-keys.ts';
import { readPlainKey } from '../../shared/config/load.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { complaints, configFile, load } from './config-files.ts';

const entry = (name: string, key = `the-key-of-${name}`) => ({ name, sha256: hashApiKey(key), role: 'render' });

test('keys of both kinds are in force, as hashes only', () => {
  const plain = ['a-first-plain-key', 'a-second-plain-key'];
  const { auth } = load({ auth: { api_keys: plain, keys: [{ ...entry('studio'), max_streams: 3 }] } });
  assert.deepEqual(
    auth.keys.map(({ name, role, limits }) => [name, role, limits.streams]),
    [
      ['studio', 'render', 3],
      ['key 1', 'admin', 0],
      ['key 2', 'admin', 0],
    ],
  );
  assert.ok(plain.every((key) => !JSON.stringify(auth).includes(key)));
  const file = configFile({ auth: { api_keys: plain } });
  assert.equal(readPlainKey(file, readEnvironment({})), plain[0]);
});

test('a key that is in both lists has the role that it was given', () => {
  const { auth } = load({ auth: { api_keys: ['the-key-of-studio'], keys: [entry('studio')] } });
  assert.deepEqual(
    auth.keys.map(({ name, role }) => [name, role]),
    [['studio', 'render']],
  );
});

test('the environment brings keys of both kinds', () => {
  const variables = { FARM_AUTH__KEYS: JSON.stringify([entry('studio')]), FARM_AUTH__API_KEYS: '[a-plain-key]' };
  assert.deepEqual(
    load({}, variables).auth.keys.map(({ name }) => name),
    ['studio', 'key 1'],
  );
});

test('what is wrong with an entry is said, without what might be a key', () => {
  const [studio, secret] = [entry('studio'), 'a-key-in-the-wrong-place'];
  const said = complaints({
    auth: { keys: [{ ...studio, sha256: secret, role: 'king', max_stream: 1 }, { name: 'a b' }], api_keys: ['short'] },
  });
  const text = said.join('\n');
  for (const place of ['keys.0.sha256', 'keys.0.role', 'keys.1.name', 'keys.1.sha256', 'keys.1.role', 'api_keys.0']) {
    assert.ok(text.includes(`auth.${place}: `), `${place} in ${text}`);
  }
  assert.match(text, /auth\.keys\.0\.max_stream: unknown key; did you mean "max_streams"/);
  assert.ok(!text.includes(secret) && !text.includes('short;'), text);
  for (const [keys, fault] of [
    [[studio, entry('studio', 'another-key-of-it')], /two keys have the same name/],
    [[studio, entry('other', 'the-key-of-studio')], /two keys have the same hash/],
  ] as const) {
    assert.match(complaints({ auth: { keys } }).join('\n'), fault);
  }
});
