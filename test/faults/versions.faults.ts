import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ignored } from '../../shared/process/unheard.ts';
import { until } from '../support/until.ts';
import { checkOut, HERE, MixedFarm, type ProcessOfFarm } from './mixed-farm.ts';
import { allResults, assertDistinct, assertSame, type MixedResults } from './mixed-results.ts';

/** Processes of this version beside those of earlier ones, on one Redis and one data folder. */

/**
 * The first one whose formats later ones read; the last one before frames went directly to the front end; and the last
 * one whose live jobs all went by a queue.
 */
const EARLIER = ['742ede6', '68c09ff', 'd6d585c'] as const;
const LAST = EARLIER[1];
const code = new Map<string, string>();
for (const commit of EARLIER) {
  const root = await checkOut(commit);
  if (root) code.set(commit, root);
}
after(async () => {
  for (const root of code.values()) await rm(path.dirname(root), { recursive: true, force: true });
});
const skip = code.size < EARLIER.length && `the history does not reach back to ${EARLIER}`;

const ARGS = {
  api: ['api'],
  media: ['worker', '--media'],
  'gpu 0': ['worker', '--gpu', '0'],
  'gpu 1': ['worker', '--gpu', '1'],
} as const satisfies Record<string, ProcessOfFarm['args']>;
type Part = keyof typeof ARGS;
const WORKERS_FIRST: readonly Part[] = ['media', 'gpu 0', 'gpu 1', 'api'];

/** A farm of these processes, of which the named ones run an earlier version. */
function farmOf(parts: readonly Part[], old: readonly Part[], commit: string = LAST): Promise<MixedFarm> {
  const rootOf = (part: Part) => (old.includes(part) ? (code.get(commit) as string) : HERE);
  return MixedFarm.start(...parts.map((part) => ({ args: ARGS[part], root: rootOf(part) })));
}

describe('a farm of two versions', { skip }, () => {
  let expected: MixedResults;

  before(async () => {
    await using farm = await farmOf(WORKERS_FIRST, []);
    expected = await allResults(farm);
    assertDistinct(expected);
  });

  const MIXTURES: readonly [old: readonly Part[], commit: string][] = [
    [['api'], LAST],
    [['media', 'gpu 0'], LAST],
    [['api', 'gpu 1'], LAST],
    [['media', 'gpu 0', 'gpu 1'], LAST],
    [['api', 'gpu 0'], EARLIER[0]],
    [['media', 'gpu 1'], EARLIER[0]],
    [['api'], EARLIER[2]],
    [['media', 'gpu 1'], EARLIER[2]],
  ];
  for (const [old, commit] of MIXTURES) {
    it(`makes the same pictures when ${old.join(', ')} run ${commit}`, async () => {
      await using farm = await farmOf(WORKERS_FIRST, old, commit);
      const results = await allResults(farm);
      assertSame(results, expected, `when ${old.join(', ')} run ${commit}`);
      assert.deepEqual(results.gpus, [0, 1]);
      assert.ok((await farm.client.list()).renders.every(({ status }) => status === 'completed'));
      assert.deepEqual(
        (await farm.client.gpus()).gpus.map(({ state }) => state),
        ['ready', 'ready'],
      );
      assert.equal((await farm.client.models()).models[0]?.loaded_on.length, 2);
    });
  }

  for (const [from, to] of [
    [LAST, 'this version'],
    ['this version', LAST],
  ] as const) {
    it(`loses nothing while its processes go one by one from ${from} to ${to}`, async () => {
      const rootOf = (version: string) => code.get(version) ?? HERE;
      await using farm = await farmOf([], []);
      const running = new Map<Part, ChildProcess>();
      for (const part of WORKERS_FIRST) {
        running.set(part, await farm.launch({ args: ARGS[part], root: rootOf(from) }));
      }
      let rounds = 0;
      let isOver = false;
      const asking = (async () => {
        for (; !isOver; rounds++) assertSame(await allResults(farm), expected, `in round ${rounds}`);
      })();
      asking.catch(ignored('it is awaited below'));
      // All but the front end: a client whose connection it ends would have to ask again.
      for (const part of WORKERS_FIRST.slice(0, -1)) {
        const old = running.get(part) as ChildProcess;
        const ended = once(old, 'exit');
        old.kill('SIGTERM');
        assert.deepEqual(await ended, [0, null], `${part} of ${from} drains`);
        await farm.launch({ args: ARGS[part], root: rootOf(to) });
        const before = rounds;
        await Promise.race([asking, until('a round is complete', () => rounds > before)]);
      }
      isOver = true;
      await asking;
      assertSame(await allResults(farm), expected, `on the workers of ${to}`);
    });
  }

  it('leaves the end of a failed render readable to both', async () => {
    for (const commit of EARLIER) {
      for (const old of ['api', 'media'] as const) {
        await using farm = await farmOf(['media', 'api'], [old], commit);
        const { id } = await farm.client.submit(path.join(farm.folder, 'config.yaml'));
        await assert.rejects(farm.client.finished(id), { code: 'audio_unreadable' });
        assert.equal((await farm.client.list()).renders.length, 1);
      }
    }
  });
});
