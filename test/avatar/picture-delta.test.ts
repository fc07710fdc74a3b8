import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyDelta, deltaFrom } from '../../worker/avatar/picture-delta.ts';
import type { RgbImage } from '../../worker/pipeline/contract.ts';
import { photograph } from './photograph.ts';

const SIZE = { width: 203, height: 101 };

function picture(seed: number): RgbImage {
  return { ...SIZE, data: photograph(SIZE, seed) };
}

test('a picture comes back from its delta exactly, whatever differs', () => {
  const base = picture(0);
  const corner = { ...SIZE, data: base.data.slice() };
  corner.data[corner.data.length - 1] = (corner.data.at(-1) ?? 0) ^ 255;
  for (const other of [picture(1), corner, base]) {
    const before = base.data.slice();
    assert.deepEqual(applyDelta(base, deltaFrom(base, other)), { ...SIZE, data: other.data });
    assert.deepEqual(base.data, before);
  }
});

test('only the tiles that differ take room', () => {
  const base = picture(0);
  assert.equal(deltaFrom(base, picture(0)).pixels.length, 0);
  const changed = picture(0);
  changed.data[3] = (changed.data[3] ?? 0) ^ 1;
  assert.equal(deltaFrom(base, changed).pixels.length, 64 * 32 * 3);
});
