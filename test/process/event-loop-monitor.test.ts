import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { EventLoopMonitor } from '../../shared/process/event-loop-monitor.ts';

const BLOCK_MS = 200;
/** The loop is looked at so often, so that much of a block may be missed. */
const LOOK_EVERY_MS = 50;

test('a block of the event loop is told, and told once', async () => {
  const monitor = new EventLoopMonitor();
  // Timers run in the order in which they are due, so when ours has run the monitor's has.
  await delay(2 * LOOK_EVERY_MS);
  const startedAt = performance.now();
  while (performance.now() - startedAt < BLOCK_MS);
  await delay(LOOK_EVERY_MS);
  assert.ok(monitor.takeMaxMs() >= BLOCK_MS - 2 * LOOK_EVERY_MS);
  assert.equal(monitor.takeMaxMs(), 0, 'what was told is told again');
});
