import assert from 'node:assert/strict';
import { test } from 'node:test';
import { qualityFindings } from '../../worker/report/numbers.ts';
import { reportPage } from '../../worker/report/page.ts';
import { choosePictures } from '../../worker/report/shown-pictures.ts';
import { QUALITY, REPORT } from './sample-report.ts';

test('the page loads nothing, runs nothing, and shows names as they are', () => {
  const page = reportPage({ ...REPORT, findings: qualityFindings(QUALITY) });
  assert.doesNotMatch(page, /<script|<b>|https?:|src="(?!data:)|undefined|NaN|\[object/);
  assert.match(page, /default-src 'none'; img-src data:/);
  assert.match(page, /<h1>Import of &lt;script&gt;anna<\/h1>/);
  assert.match(page, /\/a &quot;folder&quot; &amp; &lt;b&gt;\/195\.onnx/);
  assert.match(page, /href="anna%20%221%22\.mp4"/);
  assert.match(page, /on 2026-11-28 04:37 UTC/);
});

test('numbers have verdicts, and bad ones are warnings in words', () => {
  const page = reportPage({ ...REPORT, findings: qualityFindings(QUALITY) });
  assert.match(page, /correlation\)<\/th><td>0\.3<\/td><td>above 0\.6<\/td><td class="look">look at it/);
  assert.match(page, /silence<\/th><td>cannot be said<\/td>.*class="unknown"/);
  assert.match(page, /<p>The mouth does not follow the voice: correlation 0\.30, above 0\.6 is good\.<\/p>/);
  assert.match(page, /1 thing to look at/);
});

test('without pictures, preview and warnings the page says so', () => {
  const page = reportPage({ ...REPORT, pictures: undefined, preview: undefined });
  assert.match(page, /no pictures, nothing unusual found/);
  assert.match(page, /No preview was rendered/);
});

test('six pictures are shown: those of findings, and others spread over all', () => {
  const numbers = [...Array(300).keys()];
  const jump = { code: 'rects_jump', text: '', pictures: [212] };
  const chosen = choosePictures(numbers, [jump]);
  assert.deepEqual(
    chosen.map(({ place }) => place),
    [0, 75, 150, 212, 224, 299],
  );
  assert.equal(chosen[3]?.why, 'rects jump');
  assert.deepEqual(
    choosePictures([5, 6], []).map(({ place, why }) => [place, why]),
    [
      [0, 'the first'],
      [1, 'the last'],
    ],
  );
  assert.deepEqual(choosePictures([7], []), [{ place: 0, why: 'the first' }]);
});
