import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setInterval } from 'node:timers/promises';
import { lockFolder, readHolder } from '../../cli/supervisor/farm-lock.ts';
import { ownIdentity } from '../../shared/process/process-life.ts';
import { until } from '../support/until.ts';

const SILENCE_MS = 400;
const TOUCH_EVERY_MS = 40;
const OPTIONS = { silenceMs: SILENCE_MS, touchEveryMs: TOUCH_EVERY_MS };
/** In each way, of a process that cannot be seen from here: its id says nothing. */
const ELSEWHERE = {
  'a container of another host name': { host: 'elsewhere' },
  'a container of the same host name': { pidSpace: 'another one' },
};

describe('the data folder of a farm', () => {
  let folder = '';
  const pidFile = () => path.join(folder, 'farm.pid');
  const heldBy = async (holder: object) => await writeFile(pidFile(), JSON.stringify({ ...ownIdentity(), ...holder }));

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'farm-lock-'));
  });
  afterEach(async () => await rm(folder, { recursive: true, force: true }));

  for (const [what, where] of Object.entries(ELSEWHERE)) {
    it(`is taken from ${what} that was killed, once its file has been silent for long enough`, async () => {
      // Of no process here, nor of one that lives where it was written.
      await heldBy({ ...where, startMark: 'another time', isTouched: true });
      const said: string[] = [];
      const unlock = await lockFolder(folder, { ...OPTIONS, say: (line) => said.push(line) });
      assert.match(said.join(), /waiting up to 1 s to see whether it is gone/);
      assert.deepEqual(await readHolder(folder), { ...ownIdentity(), isTouched: true });
      await unlock();
      assert.equal(await readHolder(folder), undefined);
    });

    it(`is left to ${what} that touches its file`, async () => {
      await heldBy({ ...where, startMark: 'another time', isTouched: true });
      const stop = new AbortController();
      const touching = (async () => {
        for await (const _ of setInterval(TOUCH_EVERY_MS, undefined, { signal: stop.signal })) {
          await utimes(pidFile(), new Date(), new Date());
        }
      })().catch(() => {});
      await assert.rejects(lockFolder(folder, { ...OPTIONS, silenceMs: 6000 }), { code: 'farm_running' });
      stop.abort();
      await touching;
    });
  }

  it('is never taken from a farm of an older version elsewhere, which does not touch its file', async () => {
    await heldBy({ host: 'elsewhere' });
    const asks = /on host elsewhere; should that host be gone, remove .*farm\.pid/;
    await assert.rejects(lockFolder(folder, OPTIONS), { code: 'farm_running', message: asks });
  });

  it('is taken at once from a process of this machine that has ended, and never from one that lives', async () => {
    await heldBy({ startMark: 'another time', isTouched: true });
    const unlock = await lockFolder(folder);
    await assert.rejects(lockFolder(folder, OPTIONS), { code: 'farm_running' });
    await unlock();
    await writeFile(pidFile(), 'half a li');
    await (await lockFolder(folder))();
  });

  it('has its file touched, and tells who has lost it to another', async () => {
    const lost = Promise.withResolvers<string>();
    const unlock = await lockFolder(folder, { ...OPTIONS, onLost: lost.resolve });
    const old = new Date(0);
    await utimes(pidFile(), old, old);
    await until('it is touched', async () => (await stat(pidFile())).mtimeMs > 0);
    await heldBy({ host: 'elsewhere', isTouched: true });
    assert.match(await lost.promise, /on elsewhere has taken the data folder/);
    await unlock();
    assert.equal((await readHolder(folder))?.host, 'elsewhere', 'it is left to the other');
  });
});
