import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { repeat } from '../../shared/process/repeat.ts';

/** A log that keeps its lines. */
function keptLog() {
  const lines: string[] = [];
  const keep = (level: string) => (_: unknown, text: string) => void lines.push(`${level}: ${text}`);
  return { lines, warn: keep('warn'), info: keep('info') };
}

describe('repeated work', () => {
  it('runs again and again, one run at a time', async () => {
    let running = 0;
    let most = 0;
    const threeRuns = Promise.withResolvers<void>();
    let runs = 0;
    const work = async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
      running -= 1;
      runs += 1;
      if (runs === 3) threeRuns.resolve();
    };
    const repeated = repeat(work, { name: 'count', everyMs: 1, log: keptLog(), first: 'now' });
    repeated.now();
    repeated.now();
    await threeRuns.promise;
    await repeated.stop();
    assert.equal(most, 1);
  });

  it('runs once more when it is asked in the middle of a run, and then waits again', async () => {
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let begun = 0;
    const secondBegan = Promise.withResolvers<void>();
    const work = async () => {
      const gate = gates[begun++];
      if (begun === 2) secondBegan.resolve();
      await gate?.promise;
    };
    const repeated = repeat(work, { name: 'gate', everyMs: 60_000, log: keptLog(), first: 'now' });
    repeated.now();
    repeated.now();
    assert.equal(begun, 1);
    gates[0]?.resolve();
    await secondBegan.promise;
    gates[1]?.resolve();
    await repeated.stop();
    assert.equal(begun, 2);
  });

  it('says once that it fails, and once that it works again', async () => {
    const log = keptLog();
    const outcomes = ['fail', 'fail', 'work', 'work', 'fail'];
    const done = Promise.withResolvers<void>();
    const work = () => {
      const outcome = outcomes.shift();
      if (outcomes.length === 0) done.resolve();
      if (outcome === 'fail') throw new Error('no Redis');
    };
    const repeated = repeat(work, { name: 'look', everyMs: 1, log, first: 'now' });
    await done.promise;
    await repeated.stop();
    assert.deepEqual(log.lines, [
      'warn: failed; will be tried again',
      'info: works again',
      'warn: failed; will be tried again',
    ]);
  });

  it('is over when its stop is: nothing runs afterwards', async () => {
    const gate = Promise.withResolvers<void>();
    let ended = false;
    const work = async () => {
      await gate.promise;
      ended = true;
    };
    const repeated = repeat(work, { name: 'gate', everyMs: 1, log: keptLog(), first: 'now' });
    const stopped = repeated.stop();
    repeated.now();
    gate.resolve();
    await stopped;
    assert.equal(ended, true);
  });
});
