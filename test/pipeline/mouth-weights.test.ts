import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compositeFrame } from '../../worker/pipeline/composite.ts';
import type { Blend, Rect, RgbImage } from '../../worker/pipeline/contract.ts';
import { mouthWeights } from '../../worker/pipeline/mouth-weights.ts';
import { cutCrop, makeCrop } from '../../worker/pipeline/visual-input.ts';
import { drawFrom, fillPixels } from '../compositor/cases.ts';

const SIZE = 160;
const RECT: Rect = { x1: 21, y1: 13, x2: 122, y2: 114 };
const BACKGROUND = pictureOf(1);

function pictureOf(seed: number): RgbImage {
  const picture = { width: 150, height: 130, data: new Uint8Array(150 * 130 * 3) };
  fillPixels(picture.data, picture.width, drawFrom(seed));
  return picture;
}

/** The network's picture: what it sees, with `cast` added to every value. */
function mouthWith(cast: number): Uint8Array {
  const crop = makeCrop(SIZE);
  cutCrop(BACKGROUND, RECT, crop);
  const mouth = new Uint8ClampedArray(SIZE * SIZE * 3);
  for (let at = 0; at < mouth.length; at++) {
    const [x, y] = [Math.floor(at / 3) % SIZE, Math.floor(at / 3 / SIZE)];
    mouth[at] = (crop.data[((y + 4) * crop.width + x + 4) * 3 + (at % 3)] ?? 0) + cast;
  }
  return new Uint8Array(mouth.buffer);
}

function frame(mouth: Uint8Array, blend: Blend, mask?: RgbImage): Uint8Array {
  const crop = makeCrop(SIZE);
  cutCrop(BACKGROUND, RECT, crop);
  const weights = mouthWeights(RECT, SIZE, blend, mask);
  return compositeFrame(mouth, SIZE, crop, BACKGROUND, RECT, new Uint8Array(BACKGROUND.data.length), weights).data;
}

describe('the weights of a mouth', () => {
  it('are not there where all of it is shown', () => {
    const nothingOfThese = [0, 0, 255, 254, 0, 0, 255, 255, 254, 255, 254, 255, 255, 1, 1, 0, 0, 0];
    const mask = { ...BACKGROUND, data: BACKGROUND.data.map((_, at) => nothingOfThese[at % 18] as number) };
    assert.equal(mouthWeights(RECT, SIZE, 'none', undefined), undefined);
    assert.equal(mouthWeights(RECT, SIZE, 'none', mask), undefined);
  });

  it('leave the original where the mask is red or white, and the mouth everywhere else, to the byte', () => {
    const draw = drawFrom(2);
    const colours = [
      [255, 0, 0],
      [255, 255, 255],
      [0, 0, 255],
      [0, 0, 0],
      [255, 0, 85],
    ] as const;
    const mask = { ...BACKGROUND, data: new Uint8Array(BACKGROUND.data.length) };
    for (let at = 0; at < mask.data.length; at += 3) mask.data.set(colours[draw(5)] as readonly number[], at);
    const mouth = mouthWith(40);
    const [whole, masked] = [frame(mouth, 'none'), frame(mouth, 'none', mask)];
    let kept = 0;
    for (let at = 0; at < masked.length; at += 3) {
      const [r, g, b] = mask.data.subarray(at, at + 3);
      const isKept = r === 255 && ((g === 0 && b === 0) || (g === 255 && b === 255));
      const expected = (isKept ? BACKGROUND.data : whole).subarray(at, at + 3);
      assert.deepEqual(masked.subarray(at, at + 3), expected);
      if (isKept && !Buffer.from(expected).equals(whole.subarray(at, at + 3))) kept += 1;
    }
    assert.ok(kept > 1000, `${kept}`);
  });

  it('rise from nothing at the edge to all of the mouth a tenth of the side further in, alike on all sides', () => {
    const weights = mouthWeights(RECT, SIZE, 'feather', undefined) as Uint8Array;
    const [side, middle] = [101, 50];
    const across = weights.subarray(middle * side, (middle + 1) * side);
    const down = Uint8Array.from({ length: side }, (_, y) => weights[y * side + middle] as number);
    assert.deepEqual(down, across);
    assert.deepEqual(across.slice().reverse(), across);
    assert.equal(across[1], 0);
    assert.equal(across[13], 255);
    for (let x = 1; x <= middle; x++) assert.ok((across[x] as number) >= (across[x - 1] as number));
    assert.equal(weights[0], 0);
    assert.ok((weights[8 * side + 8] as number) < (across[8] as number), 'corners are round');
  });

  it('take the seam away from a mouth with a colour cast, and change nothing of one without', () => {
    const mouth = mouthWith(24);
    const [none, feather] = [seamEnergy(frame(mouth, 'none')), seamEnergy(frame(mouth, 'feather'))];
    assert.ok(none > 100 && feather < none / 8, `${none}, ${feather}`);
    const right = mouthWith(0);
    const difference = frame(right, 'feather').map((value, at) => Math.abs(value - (BACKGROUND.data[at] as number)));
    const whole = frame(right, 'none').map((value, at) => Math.abs(value - (BACKGROUND.data[at] as number)));
    const sum = (values: Uint8Array) => values.reduce((total, value) => total + value, 0);
    assert.ok(sum(difference) < sum(whole));
  });
});

/**
 * Steps between neighbours across the border of the rect, in a band that reaches a fifth of its side inwards: the
 * largest mean square of any line of the band, of what the frame adds to its background.
 */
function seamEnergy(data: Uint8Array): number {
  const { width } = BACKGROUND;
  const added = (x: number, y: number) =>
    (data[(y * width + x) * 3 + 1] as number) - (BACKGROUND.data[(y * width + x) * 3 + 1] as number);
  const energyAt = (inwards: number) => {
    let sum = 0;
    for (let along = 30; along < 71; along++) {
      const [x, y] = [RECT.x1 + along, RECT.y1 + along];
      const [left, top] = [RECT.x1 + inwards, RECT.y1 + inwards];
      sum += (added(left, y) - added(left - 1, y)) ** 2 + (added(x, top) - added(x, top - 1)) ** 2;
    }
    return sum / 82;
  };
  return Math.max(...Array.from({ length: 20 }, (_, inwards) => energyAt(inwards)));
}
