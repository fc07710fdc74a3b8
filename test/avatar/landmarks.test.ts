import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readCropRects } from '../../worker/avatar/crop-rects.ts';
import { cropRectFromLandmarks, cropRectsFromLandmarks, LANDMARK_COUNT } from '../../worker/avatar/landmarks.ts';

const REFERENCE_FRAMES = [0, 1, 13, 100, 250, 400, 522];

function landmarks(changes: Record<number, string>): string {
  return Array.from({ length: LANDMARK_COUNT }, (_, index) => changes[index] ?? `${index} ${index}`).join('\n');
}

test('the rect runs from cheek to cheek, starts at the bridge of the nose and is square', () => {
  const text = landmarks({ 1: '10.9 0', 31: '50.2 0', 52: '0 20.7' });
  assert.deepEqual(cropRectFromLandmarks(`${text}\n`, 'a.lms'), { x1: 10, y1: 20, x2: 50, y2: 60 });
});

test('files that stand one after the other give a rect each, and a part of one is refused', () => {
  const frames = [10, 20].map((x) => landmarks({ 1: `${x}.9 0`, 31: `${x + 40} 0`, 52: '0 20.7' }));
  const text = frames.join('\n\n');
  assert.deepEqual(
    cropRectsFromLandmarks(text, 'all.lms').map(({ x1, x2 }) => [x1, x2]),
    [
      [10, 50],
      [20, 60],
    ],
  );
  const refused = (given: string, message: RegExp) =>
    assert.throws(() => cropRectsFromLandmarks(given, 'all.lms'), { code: 'model_unusable', message });
  refused(`${text}\n1 1`, /all\.lms has 221 landmarks: expected 110 a frame/);
  refused('', /has 0 landmarks/);
  refused(`${text}\n${landmarks({ 31: '0 0' })}`, /frame 2 in all\.lms gives an empty crop rect/);
});

test('another number of points is refused', () => {
  assert.throws(() => cropRectFromLandmarks('1 2\n3 4', 'a.lms'), {
    code: 'model_unusable',
    message: /a\.lms has 2 landmarks: expected 110/,
  });
});

test('a line that is not two numbers is refused with its index and text', () => {
  for (const line of ['1', '1 2 3', 'one two']) {
    assert.throws(() => cropRectFromLandmarks(landmarks({ 31: line }), 'a.lms'), {
      code: 'model_unusable',
      message: `landmark 31 in a.lms is "${line}": expected "x y" in pixels`,
    });
  }
});

test('landmarks that give an empty rect are refused', () => {
  assert.throws(() => cropRectFromLandmarks(landmarks({ 1: '50 0', 31: '50 0' }), 'a.lms'), /empty crop rect/);
});

test('the reference landmarks give the reference crop rects', async (t) => {
  const folder = process.env.REFERENCE_DIR;
  if (folder === undefined || !existsSync(folder)) return t.skip('REFERENCE_DIR does not name the reference numbers');
  const rects = await readCropRects(join(folder, 'crop_rects.json'));
  assert.equal(rects.length, 523);
  for (const frame of REFERENCE_FRAMES) {
    const path = join(folder, 'landmarks', `${frame}.lms`);
    assert.deepEqual(cropRectFromLandmarks(await readFile(path, 'utf8'), path), rects[frame], `frame ${frame}`);
  }
});
