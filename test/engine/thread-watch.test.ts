import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ThreadWatch } from '../../worker/engine/thread-watch.ts';
import { until } from '../support/until.ts';

/** Three times as long as the watch waits between two looks, for a busy machine. */
const LIMITS = { workMs: 1500, loadMs: 2500 };
/** Both limits, and some. */
const LONG_MS = 3000;

/** A watch of a thread that has work, or none. */
function watch(isBusy = true) {
  const stuckFor: number[] = [];
  return {
    stuckFor,
    watch: new ThreadWatch(
      LIMITS,
      () => isBusy,
      (ms) => stuckFor.push(ms),
    ),
  };
}

it('a thread with work and without progress is stuck, told once; a load may take longer', async () => {
  const working = watch();
  const opening = watch();
  opening.watch.load('opening');
  await until('both are stuck', () => working.stuckFor.length > 0 && opening.stuckFor.length > 0);
  assert.deepEqual([working.stuckFor, opening.stuckFor], [[LIMITS.workMs], [LIMITS.loadMs]]);
  assert.ok(working.watch.silentMs > 0);
  assert.equal(opening.watch.silentMs, 0, 'a load is no work without progress');
});

it('a thread is not stuck without work, while it makes progress, and while pictures are taken out of a video', async () => {
  const idle = watch(false);
  const extracting = watch();
  extracting.watch.load('extracting');
  const advancing = watch();
  const steps = setInterval(() => advancing.watch.step(), 50);
  await delay(LONG_MS);
  clearInterval(steps);
  assert.deepEqual([idle.stuckFor, extracting.stuckFor, advancing.stuckFor], [[], [], []]);
  for (const { watch } of [idle, extracting, advancing]) watch.stop();
});
