import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameBuffers } from '../../worker/engine/frame-buffers.ts';

const MB = 1024 * 1024;

test('a buffer that was given back is used again for a frame of that size, and for no other', () => {
  const buffers = new FrameBuffers();
  const first = buffers.take(300);
  assert.equal(first.length, 300);
  buffers.giveBack(first);
  assert.notEqual(buffers.take(299), first);
  assert.equal(buffers.take(300), first);
  assert.notEqual(buffers.take(300), first);
});

test('no more is kept than 64 MB: the oldest goes first', () => {
  const buffers = new FrameBuffers();
  const given: Uint8Array[] = Array.from({ length: 5 }, () => new Uint8Array(16 * MB));
  for (const buffer of given) buffers.giveBack(buffer);
  const kept = Array.from({ length: 5 }, () => buffers.take(16 * MB));
  assert.deepEqual(
    kept.map((buffer) => given.indexOf(buffer)),
    [4, 3, 2, 1, -1],
  );
});
