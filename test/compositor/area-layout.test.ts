import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { areaLayout, cutArea, placeInArea, withGaps } from '../../worker/compositor/area-layout.ts';
import { mouthArea } from '../../worker/compositor/contract.ts';
import { cutOut } from '../../worker/compositor/crop.ts';
import { measureFrame } from '../../worker/quality/measure-frame.ts';
import { cutRgb, largestDifference, randomCase } from './cases.ts';

const cases = Array.from({ length: 25 }, (_, seed) => randomCase(1000 + seed));

describe('the area of a mouth', () => {
  it('keeps every pixel outside of the rect, and none that it says it leaves out', () => {
    for (const { picture, rect, name } of cases) {
      const layout = areaLayout(picture, rect, false);
      const [kept, whole] = [cutArea(picture, rect, false), cutOut(picture, mouthArea(picture, rect))];
      assert.equal(layout.byteLength, whole.length - layout.gaps * layout.gapBytes, name);
      const covered = { ...picture, data: picture.data.slice() };
      for (let y = rect.y1; y < rect.y2; y++) {
        covered.data.fill(0, (y * picture.width + rect.x1) * 3, (y * picture.width + rect.x2) * 3);
      }
      const outside = cutOut(covered, mouthArea(picture, rect));
      const filled = withGaps(layout, kept);
      assert.ok(
        outside.every((level, at) => level === 0 || filled[at] === level),
        name,
      );
      for (const [at, level] of filled.entries()) {
        if (level !== 0) assert.equal(kept[placeInArea(layout, at)], level, `${name}, byte ${at}`);
      }
    }
  });

  it('is whole where the mouth is mixed with it', () => {
    for (const { picture, rect, name } of cases) {
      assert.equal(largestDifference(cutArea(picture, rect, true), cutRgb(picture, mouthArea(picture, rect))), 0, name);
    }
  });

  it('leaves out nothing that a frame is measured by', () => {
    for (const { picture, rect, rim, mouth, name } of cases) {
      const { width, height } = picture;
      const all = new Uint8Array((rect.x2 - rect.x1) * (rect.y2 - rect.y1)).fill(255);
      const covered = { width, height, rect, rim, area: cutArea(picture, rect, false) };
      const whole = { ...covered, area: cutArea(picture, rect, true), weights: all };
      assert.deepEqual(measureFrame(covered, mouth), measureFrame(whole, mouth), name);
    }
  });
});
