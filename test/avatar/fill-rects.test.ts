import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillRects, requireAllPictures } from '../../worker/avatar/fill-rects.ts';
import type { GivenRects } from '../../worker/avatar/given-rects.ts';
import { numberRanges } from '../../worker/avatar/number-ranges.ts';
import { rectFindings } from '../../worker/avatar/rect-findings.ts';
import type { Rect } from '../../worker/pipeline/contract.ts';

const SIZE = { width: 1280, height: 720 };
const HOLES = { strict: false, pictures: 'full_body_img', size: SIZE };

function rectAt(x1: number, side = 200): Rect {
  return { x1, y1: 100, x2: x1 + side, y2: 100 + side };
}

/** Rects of these numbers, two pixels to the right from each to the next. */
function given(numbers: readonly number[], others: Partial<GivenRects> = {}): GivenRects {
  const byNumber = new Map(numbers.map((number) => [number, rectAt(100 + 2 * number)]));
  return { source: 'landmarks', byNumber, faults: new Map(), passedOver: [], ...others };
}

function upTo(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, at) => from + at);
}

test('holes at the start, in the middle and at the end are filled, and told by number', () => {
  const numbers = upTo(400, 1);
  const known = numbers.filter((number) => number > 2 && (number < 301 || number > 350) && number !== 400);
  const { rects, findings } = fillRects(numbers, given(known), HOLES);
  assert.deepEqual(
    [1, 2, 3, 301, 325, 350, 399, 400].map((number) => rects[number - 1]?.x1),
    [106, 106, 106, 702, 750, 800, 898, 898],
  );
  assert.deepEqual(
    rects.map(({ x1, x2, y1, y2 }) => [x2 - x1, y2 - y1]),
    numbers.map(() => [200, 200]),
  );
  const told = 'pictures 1–2, 301–350, 400 have no landmarks: filled from their neighbours';
  assert.deepEqual(
    findings.map(({ code, text }) => [code, text]),
    [['landmarks_missing', told]],
  );
  assert.throws(() => fillRects(numbers, given(known), { ...HOLES, strict: true }), {
    code: 'model_unusable',
    message: /pictures 1–2, 301–350, 400 have no landmarks; expected one a picture/,
  });
});

test('files that hold no landmarks are quoted', () => {
  const faults = new Map([[1, '1.lms is empty (0 bytes)']]);
  const { findings, rects } = fillRects(upTo(3), given([0, 2], { faults }), HOLES);
  assert.deepEqual(rects[1], rectAt(102));
  assert.equal(findings[0]?.text, '1.lms is empty (0 bytes): filled from their neighbours');
});

test('when most pictures have no landmarks, or none has, nothing is guessed', () => {
  assert.throws(
    () => fillRects(upTo(10), given(upTo(4)), HOLES),
    /10 pictures .* 4 of them with .*: pictures 4–9 have/,
  );
  assert.throws(() => fillRects([0], given([]), HOLES), /picture 0 has no landmarks;/);
});

test('landmarks without a picture are left out of a folder, and refused for a video', () => {
  assert.match(fillRects(upTo(3), given(upTo(5)), HOLES).findings[0]?.text ?? '', /no picture for landmarks 3–4: left/);
  assert.throws(() => requireAllPictures(3, 'anna.mp4', given(upTo(5))), /3 pictures in anna\.mp4, .* landmarks 3–4/);
  requireAllPictures(5, 'anna.mp4', given(upTo(5)));
});

test('a jump is told with its pixels and its frame', () => {
  const numbers = upTo(300, 1);
  const rects = numbers.map((number) => rectAt(100 + number + (number >= 212 ? 40 : 0)));
  const [finding, ...others] = rectFindings(rects, numbers, SIZE, 320);
  assert.deepEqual(others, []);
  assert.deepEqual([finding?.code, finding?.pictures], ['rects_jump', [212]]);
  assert.match(finding?.text ?? '', /^the landmarks jump by 41 px at frame 212:/);
  const walking = numbers.map((number) => rectAt(number * 3 + (number % 2) * 12));
  assert.deepEqual(rectFindings(walking, numbers, SIZE), []);
});

test('rects that are unlike the others, tiny, as large as the picture or drawn too small are told', () => {
  const codes = (rects: readonly Rect[], networkSize?: number) =>
    rectFindings(rects, upTo(rects.length), SIZE, networkSize).map(({ code }) => code);
  assert.deepEqual(codes([rectAt(9), rectAt(9), rectAt(9, 90)]), ['rects_jump', 'rects_uneven']);
  assert.deepEqual(codes([rectAt(9, 40), rectAt(9, 40)]), ['rects_tiny']);
  assert.deepEqual(codes([rectAt(9, 700), rectAt(9, 700)]), ['rects_huge']);
  assert.deepEqual(codes([rectAt(9, 400)], 160), ['rects_enlarged']);
});

test('numbers are listed as stretches', () => {
  assert.equal(numberRanges([7, 1, 2, 3, 9]), '1–3, 7, 9');
  assert.equal(numberRanges([0, 2, 4, 6, 8, 10, 11]), '0, 2, 4, 6, 8 and 2 more');
});
