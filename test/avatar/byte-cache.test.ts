import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteCache } from '../../worker/avatar/byte-cache.ts';

function filled(): ByteCache<string> {
  const cache = new ByteCache<string>();
  for (const key of [0, 1, 2]) cache.set(key, `value ${key}`, 10);
  return cache;
}

test('the least recently used goes first, until the rest fits', () => {
  const cache = filled();
  assert.equal(cache.get(0), 'value 0');
  cache.shrink(25);
  assert.deepEqual(
    [1, 2, 0].map((key) => cache.get(key)),
    [undefined, 'value 2', 'value 0'],
  );
  cache.shrink(100, 1);
  assert.deepEqual([cache.get(0), cache.get(2), cache.count, cache.usedBytes], ['value 0', undefined, 1, 10]);
});

test('a value that takes the place of another is counted once', () => {
  const cache = filled();
  cache.set(1, 'new', 3);
  assert.deepEqual([cache.get(1), cache.count, cache.usedBytes], ['new', 3, 23]);
  cache.shrink(-1);
  assert.deepEqual([cache.count, cache.usedBytes], [0, 0]);
});
