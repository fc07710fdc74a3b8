import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turns, type Urgency } from '../../worker/engine/turns.ts';

const NEVER = new AbortController().signal;

/** A task that takes `count` turns one after the other and notes each in `log`. */
async function takeTurns(turns: Turns, urgency: Urgency, name: string, count: number, log: string[]): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await turns.run(urgency, NEVER, async () => {
      log.push(name);
      await new Promise(setImmediate);
    });
  }
}

test('live tasks go before segments, and take turns among themselves', async () => {
  const turns = new Turns();
  const log: string[] = [];
  await Promise.all([
    takeTurns(turns, 'segment', 'S', 3, log),
    takeTurns(turns, 'live', 'a', 3, log),
    takeTurns(turns, 'live', 'b', 3, log),
  ]);
  assert.equal(log.join(''), 'SabababSS');
});

test('while live tasks never end, every tenth turn is a segment’s', async () => {
  const turns = new Turns();
  const log: string[] = [];
  await Promise.all([
    takeTurns(turns, 'segment', 'S', 3, log),
    takeTurns(turns, 'live', 'a', 15, log),
    takeTurns(turns, 'live', 'b', 15, log),
  ]);
  assert.equal(log.join(''), `S${'ab'.repeat(4)}aS${'ba'.repeat(4)}bS${'ab'.repeat(6)}`);
});

test('turns never overlap, also when one fails', async () => {
  const turns = new Turns();
  let inside = 0;
  const work = async (fail: boolean) => {
    inside += 1;
    assert.equal(inside, 1);
    await new Promise(setImmediate);
    inside -= 1;
    if (fail) throw new Error('no luck');
  };
  const results = await Promise.allSettled(
    Array.from({ length: 12 }, (_, i) => turns.run(i % 2 ? 'live' : 'segment', NEVER, () => work(i % 3 === 0))),
  );
  assert.equal(results.filter(({ status }) => status === 'rejected').length, 4);
});

test('a task that is aborted while it waits never gets its turn, and the others do', async () => {
  const turns = new Turns();
  const log: string[] = [];
  const controller = new AbortController();
  const held = Promise.withResolvers<void>();
  const first = turns.run('segment', NEVER, () => held.promise);
  const aborted = turns.run('live', controller.signal, async () => void log.push('aborted'));
  const last = takeTurns(turns, 'segment', 'S', 1, log);
  const reason = new Error('nobody waits');
  controller.abort(reason);
  await assert.rejects(aborted, reason);
  held.resolve();
  await Promise.all([first, last]);
  assert.deepEqual(log, ['S']);
});
