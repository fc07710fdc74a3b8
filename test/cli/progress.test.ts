import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { ProgressDisplay, TimeLeft } from '../../cli/progress.ts';
import type { RenderView } from '../../shared/views/render-view.ts';

const NO_PICTURES = { contact_sheet: null, waveform: null, waterfall: null };
const VIEW: RenderView = {
  id: 'r1',
  status: 'rendering',
  owner: null,
  model_id: 'demo',
  output: 'mp4',
  labels: {},
  priority: 'normal',
  range: null,
  file_name: 'speech.wav',
  created_at: '',
  started_at: null,
  finished_at: null,
  audio_seconds: 8,
  fps: 25,
  frames: { done: 0, total: 200, repeating: 0 },
  frames_per_second: null,
  eta_seconds: null,
  timings_ms: { queued: 0, prepare: 0, waiting: 0, render: null, stitch: null, total: null, stages: null },
  waiting: null,
  error: null,
  links: { self: '', video: null, frames: null, receipt: null, ...NO_PICTURES },
};

test('the time left falls, and says so where it must grow', () => {
  const timeLeft = new TimeLeft();
  assert.equal(timeLeft.show(null, 0), undefined);
  assert.equal(timeLeft.show(10, 0), 'ETA 10 s');
  // A little slower than thought: it goes on falling.
  assert.equal(timeLeft.show(10.5, 1000), 'ETA 9 s');
  assert.equal(timeLeft.show(7, 2000), 'ETA 7 s');
  assert.equal(timeLeft.show(20, 3000), 'ETA 20 s (more than thought)');
  assert.equal(timeLeft.show(19, 4000), 'ETA 19 s');
  assert.equal(timeLeft.show(1, 5000), 'ETA 1 s');
  assert.equal(timeLeft.show(1, 6000), 'nearly done');
});

test('frames that are rendered again are named, from the moment on that they are', async () => {
  const out = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY: false }) as unknown as NodeJS.WriteStream;
  async function* states(): AsyncGenerator<RenderView> {
    yield { ...VIEW, frames: { done: 80, total: 200, repeating: 0 } };
    yield { ...VIEW, frames: { done: 80, total: 200, repeating: 60 } };
    yield { ...VIEW, status: 'completed', frames: { done: 200, total: 200, repeating: 0 } };
  }
  assert.equal((await new ProgressDisplay(out).show(states())).status, 'completed');
  const lines = String((out as unknown as PassThrough).read())
    .trim()
    .split('\n');
  assert.deepEqual(
    lines.map((line) => /\d+\/200 frames.*/.exec(line)?.[0]),
    ['80/200 frames', '80/200 frames  retrying: 60 frames again', '200/200 frames'],
  );
});

test('what the farm waits for is said once', async () => {
  const out = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY: false }) as unknown as NodeJS.WriteStream;
  const times = { since: '2026-11-27T12:00:00.000Z', next_try_at: '2026-11-27T12:00:01.000Z' };
  const waiting = { code: 'storage_full' as const, message: 'No space.', remedy: 'Free some.', ...times };
  async function* states(): AsyncGenerator<RenderView> {
    yield { ...VIEW, waiting };
    yield { ...VIEW, waiting: { ...waiting, next_try_at: '2026-11-27T12:00:03.000Z' } };
    yield { ...VIEW, status: 'completed' };
  }
  await new ProgressDisplay(out).show(states());
  const text = String((out as unknown as PassThrough).read());
  assert.equal(text.split('The farm waits and tries again: storage_full: No space.\nFree some.\n').length, 2);
});

test('the line on a terminal fits into it, however narrow that is', async () => {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 60 });
  let written = '';
  stream.setEncoding('utf8').on('data', (text: string) => {
    written += text;
  });
  async function* states(): AsyncGenerator<RenderView> {
    const running = { frames_per_second: 24.3, eta_seconds: 7 };
    yield { ...VIEW, ...running, frames: { done: 100, total: 200, repeating: 0 } };
    yield { ...VIEW, ...running, eta_seconds: 900, frames: { done: 100, total: 200, repeating: 60 } };
  }
  await new ProgressDisplay(stream as unknown as NodeJS.WriteStream).show(states());
  const lines = written
    .split('\r\u001b[K')
    .slice(1)
    .map((line) => line.trimEnd());
  assert.equal(lines.length, 2);
  assert.ok(lines.every((line) => line.length < 60));
  assert.match(lines[0] ?? '', /^rendering {2}\[█+░+\] {2}100\/200 frames {2}24\.3 frames\/s {2}ETA 7 s$/);
  assert.match(lines[1] ?? '', /^rendering {2}\[█+░+\] {2}100\/200 frames/);
});
