import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { MixedFarm } from './mixed-farm.ts';

/** Hosts whose clocks differ by ten minutes, and clocks that step while work is done. */

const [library] = globSync('/usr/lib/*/faketime/libfaketime{MT,}.so.1');
const skip = library === undefined && 'libfaketime is not installed (apt install faketime)';
const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-clock-'));
after(() => rm(folder, { recursive: true, force: true }));

/** A clock of its own for a process, which begins so far off and can be set. */
class Clock {
  readonly environment: NodeJS.ProcessEnv;
  readonly #file: string;

  constructor(name: string) {
    this.#file = path.join(folder, name);
    this.environment = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      // Like a real one: what measures spans does not step.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  async set(offset: string): Promise<void> {
    await writeFile(this.#file, offset);
  }
}

describe('clocks', { skip }, () => {
  it('that differ by ten minutes change nothing: every render and every live frame comes, the same', async () => {
    const [same, skewed] = [
      ['+0', '+0'],
      ['+300s', '-300s'],
    ];
    const results = [];
    for (const [ahead = '', behind = ''] of [same, skewed, [...skewed].reverse()]) {
      const [front, back] = [new Clock('front'), new Clock('back')];
      await front.set(ahead);
      await back.set(behind);
      await using farm = await MixedFarm.start(
        { args: ['worker', '--media'], environment: back.environment },
        { args: ['worker', '--gpu', '0'], environment: back.environment },
        { args: ['worker', '--gpu', '1'], environment: front.environment },
        { args: ['api'], environment: front.environment },
      );
      const startedAt = performance.now();
      results.push({ video: await farm.video(), frames: await farm.frames() });
      console.log(`front end ${ahead}, workers ${behind}: done in ${Math.round(performance.now() - startedAt)} ms`);
      const [render] = (await farm.client.list()).renders;
      const spans = Object.values(render?.timings_ms ?? {}).filter((span) => typeof span === 'number');
      assert.ok(
        spans.every((span) => span >= 0),
        JSON.stringify(render?.timings_ms),
      );
    }
    assert.deepEqual(results[1], results[0]);
    assert.deepEqual(results[2], results[0]);
  });

  it('that step back and forward in the middle lose nothing', async () => {
    const clock = new Clock('stepping');
    await clock.set('+0');
    const { environment } = clock;
    await using farm = await MixedFarm.start(
      { args: ['worker', '--media'], environment },
      { args: ['worker', '--gpu', '0'], environment },
      { args: ['api'], environment },
    );
    const [video, frames] = [await farm.video(), await farm.frames()];
    for (const offset of ['-300s', '+300s', '-300s', '+0']) {
      const again = farm.video();
      await clock.set(offset);
      assert.deepEqual([await farm.frames(), await again], [frames, video], `after a step to ${offset}`);
    }
    assert.equal((await farm.client.list()).renders.length, 5);
  });
});
