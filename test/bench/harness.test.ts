import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ratioToLimit, row } from '../../bench/harness/contract.ts';
import { readResults, resultsOf, saveResults } from '../../bench/harness/results.ts';
import { inTurn } from '../../bench/harness/rounds.ts';
import { runStage } from '../../bench/harness/stage-process.ts';
import { tableOf } from '../../bench/harness/table.ts';

const stageFile = (name: string) => fileURLToPath(new URL(`./stages/${name}.ts`, import.meta.url));
const BENCH = fileURLToPath(new URL('../../bench/bench.ts', import.meta.url));

describe('npm run bench', () => {
  it('gives median, p10, p90, CPU time and limit of the rows of a stage, which gets the build before', async () => {
    const { rows, failed } = await runStage({ file: stageFile('gives-rows'), limitMs: 30_000, before: '/tmp/old' });
    assert.equal(failed, undefined);
    const expected = { name: 'one to nine, before /tmp/old', unit: 'ms', median: 5, p10: 1.8, p90: 8.2, cpuMs: 3 };
    assert.deepEqual(rows, [{ ...expected, limit: 10, limitIs: 'most' }]);
  });

  it('says why a stage failed, and ends one that takes too long', async () => {
    const [failing, endless] = await Promise.all([
      runStage({ file: stageFile('fails'), limitMs: 30_000 }),
      runStage({ file: stageFile('never-ends'), limitMs: 500 }),
    ]);
    assert.match(failing.failed ?? '', /The network could not be opened/);
    assert.match(endless.failed ?? '', /longer than/);
    assert.deepEqual([...failing.rows, ...endless.rows], []);
  });

  it('measures a median as a share of its limit so that 1 or less is kept', () => {
    const slow = row({ name: 'time', unit: 'ms', values: [3], atMost: 2 });
    const fast = row({ name: 'speed', unit: 'frames/s', values: [500], atLeast: 250 });
    assert.deepEqual([ratioToLimit(slow), ratioToLimit(fast)], [1.5, 0.5]);
    assert.match(tableOf([slow]), /time +3\.00 +3\.00 – 3\.00 +ms +≤ 2\.00 +1\.50 ✗/);
    assert.match(tableOf([fast]), /speed .*≥ 250 +0\.50$/m);
    assert.throws(() => row({ name: 'none', unit: 'ms', values: [] }), RangeError);
    assert.throws(() => row({ name: 'odd', unit: 'ms', values: [Number.NaN] }), RangeError);
  });

  it('writes results that a later run is compared with, row by row', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'farm-bench-test-'));
    try {
      const rowsOf = (ms: number) => [row({ name: 'a frame', unit: 'ms', values: [ms] })];
      const file = path.join(folder, 'new', 'results.json');
      await saveResults(file, resultsOf('stage', rowsOf(10), 'a machine'));
      const earlier = await readResults(file);
      const later = resultsOf('stage', [...rowsOf(8), row({ name: 'more', unit: 'ms', values: [1] })], 'a machine');
      const [, first, second] = tableOf(later, earlier).split('\n');
      assert.match(first ?? '', /^stage: a frame .*10\.0 +−20 %$/);
      assert.match(second ?? '', /^stage: more .*new$/);
      await writeFile(file, '{"figures": 3}');
      await assert.rejects(readResults(file), /results\.json is no result of npm run bench/);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('does kinds of work in turn and keeps the rounds after the warm-up', async () => {
    const done: string[] = [];
    const timed = await inTurn({ a: () => done.push('a'), b: () => done.push('b') }, { rounds: 2, warmUp: 1 });
    assert.equal(done.join(''), 'ababab');
    assert.deepEqual([timed.a.ms.length, timed.b.cpuMs.length], [2, 2]);
  });

  it('lists its stages, and refuses a name that it does not know', async () => {
    const { stdout } = await runBench('--list');
    assert.match(stdout, /^overhead +\S/m);
    const unknown = await runBench('no-such-stage');
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /No stage no-such-stage; there are .*overhead/);
  });
});

function runBench(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [BENCH, ...args], (_error, stdout, stderr) => {
      resolve({ code: child.exitCode ?? -1, stdout, stderr });
    });
  });
}
