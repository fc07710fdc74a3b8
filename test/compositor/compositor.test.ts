import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Compositor } from '../../worker/compositor/compositor.ts';
import { joinCrop } from '../../worker/compositor/crop.ts';
import { PlainCompositor } from '../../worker/compositor/plain-compositor.ts';
import { PlaneConverter } from '../../worker/compositor/plane-converter.ts';
import { planeLayout } from '../../worker/compositor/planes.ts';
import { compositeFrame } from '../../worker/pipeline/composite.ts';
import type { RgbImage } from '../../worker/pipeline/contract.ts';
import { cutCrop, makeCrop } from '../../worker/pipeline/visual-input.ts';
import {
  type Case,
  decoded,
  framePixels,
  largestDifference,
  preparedPicture,
  randomCase,
  throughLibjpeg,
} from './cases.ts';

/** How many random cases each property is tried on. */
const CASES = Number(process.env.COMPOSITOR_CASES ?? 25);
const converter = new PlaneConverter();
const cases = Array.from({ length: CASES }, (_, seed) => randomCase(seed));

for (const [name, compositor] of [
  ['the kernel', new Compositor()],
  ['its twin', new PlainCompositor()],
] as const) {
  describe(`a JPEG of ${name}`, () => {
    it('decodes to what libjpeg makes of the background', async () => {
      for (const example of cases) {
        const { jpeg } = compositor.encodeBackground(example.picture, example.rect, example.quality);
        const expected = await throughLibjpeg(example, example.picture.data);
        assert.equal(largestDifference(await decoded(jpeg), expected), 0, example.name);
      }
    });

    it('decodes to what libjpeg makes of the frame', async () => {
      for (const example of cases) {
        const jpeg = compositor.jpeg(preparedPicture(compositor, example), example.mouth);
        const expected = await throughLibjpeg(example, framePixels(compositor, example));
        assert.equal(largestDifference(await decoded(jpeg), expected), 0, example.name);
      }
    });
  });

  describe(`the pixels of ${name}`, () => {
    it('are those of the stage of the pipeline', () => {
      for (const example of cases) {
        assert.equal(largestDifference(framePixels(compositor, example), composited(example)), 0, example.name);
      }
    });

    it('are those of its planes', () => {
      for (const example of cases) {
        const { picture, mouth } = example;
        const [planes, expected] = [
          planesOf(picture),
          planesOf({ ...picture, data: framePixels(compositor, example) }),
        ];
        compositor.planes(preparedPicture(compositor, example), mouth, planes);
        assert.equal(largestDifference(planes, expected), 0, example.name);
      }
    });

    it('are those of the stage that cuts crops', () => {
      for (const { picture, rect, name, mouth } of cases) {
        const size = mouth.length === 3 * 160 * 160 ? 160 : 320;
        const [crop, expected] = [makeCrop(size), makeCrop(size)];
        compositor.cutCrop(picture, rect, crop);
        cutCrop(picture, rect, expected);
        assert.equal(largestDifference(crop.data, expected.data), 0, name);
      }
    });
  });
}

describe('the kernel', () => {
  it('writes the bytes of its twin', () => {
    const [kernel, twin] = [new Compositor(), new PlainCompositor()];
    for (const example of cases) {
      const [a, b] = [preparedPicture(kernel, example), preparedPicture(twin, example)];
      assert.deepEqual(a, b, example.name);
      assert.ok(Buffer.from(kernel.jpeg(a, example.mouth)).equals(twin.jpeg(b, example.mouth)), example.name);
    }
  });
});

/** The frame as the pipeline's stage makes it. */
function composited({ picture, rect, rim, mouth, weights }: Case): Uint8Array {
  const size = mouth.length === 3 * 160 * 160 ? 160 : 320;
  const crop = cropOf(new Uint8Array((size + 8) ** 2 * 3), size + 8);
  joinCrop(rim, mouth, crop.data);
  return compositeFrame(mouth, size, crop, picture, rect, new Uint8Array(picture.data.length), weights).data;
}

function planesOf(picture: RgbImage): Uint8Array {
  const planes = new Uint8Array(planeLayout(picture).byteLength);
  converter.convertArea(picture, { x1: 0, y1: 0 }, picture, planes);
  return planes;
}

function cropOf(data: Uint8Array, side: number): RgbImage {
  return { width: side, height: side, data };
}
