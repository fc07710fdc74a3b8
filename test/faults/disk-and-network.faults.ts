import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { patiently } from '../../client/patience.ts';
import { isTerminal, type RenderStatus } from '../../shared/renders/record.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import { type CutFarm, startCutFarm } from '../support/cut-farm.ts';
import { syllables, writeWav } from '../support/sound.ts';
import { SmallDisk } from './small-disk.ts';

/** A real disk that is full or read-only from a step of a render on, and lines to Redis that are dead, without a word. */

const DISK_MB = 64;
const SECONDS = 16;
const FAULT_MS = 8000;
const PATIENCE = { forMs: 120_000 };
const LOOK_EVERY_MS = 5;
const WORKERS = ['media', 'gpu-0', 'gpu-1'] as const;

describe('a video is the same', async () => {
  const disk = await SmallDisk.mount(DISK_MB);
  let farm: CutFarm;
  let speech: string;
  let expected: string;

  before(async () => {
    const render = { segment_frames: 25 };
    farm = await startCutFarm({
      ...{ gpus: { count: 2 }, render, limits: { disk_reserve_gb: 0 } },
      ...(disk ? { storage: { root: disk.folder } } : {}),
    });
    farm.proxy.judge = () => false;
    speech = path.join(farm.folder, 'speech.wav');
    await writeWav(speech, syllables(SECONDS));
    expected = (await end((await farm.client.submit(speech)).id)).sha256;
  });
  after(async () => {
    await farm?.[Symbol.asyncDispose]();
    await disk?.[Symbol.asyncDispose]();
  });

  for (const stage of ['queued', 'rendering', 'stitching'] as const) {
    for (const what of ['full', 'read-only'] as const) {
      it(`with a disk that is ${what} from ${stage} on, and says what it waits for`, { skip: !disk }, async (t) => {
        const { id } = await submitWithout(stage);
        await reached(id, stage);
        const endFault = await (what === 'full' ? disk?.fill() : disk?.makeReadOnly());
        if (stage === 'queued') process.kill(pid('media'), 'SIGCONT');
        const waits = new Set<string>();
        const overAtMs = performance.now() + FAULT_MS;
        while (performance.now() < overAtMs) {
          const view = await patiently(() => farm.client.get(id), PATIENCE);
          if (view.waiting) waits.add(view.waiting.code);
          await delay(100);
        }
        await endFault?.();
        const { sha256, seconds } = await end(id);
        t.diagnostic(`figure: disk ${what}, ${stage}: waited for ${[...waits]}, ended ${seconds.toFixed(1)} s later`);
        assert.equal(sha256, expected);
      });
    }
  }

  for (const seconds of [5, 15, 40]) {
    it(`when workers cannot reach Redis for ${seconds} s, and are not told`, { timeout: 300_000 }, async (t) => {
      const { id } = await farm.client.submit(speech);
      await reached(id, 'rendering');
      for (const name of WORKERS) farm.proxy.line(name).close();
      await delay(seconds * 1000);
      for (const name of WORKERS) farm.proxy.line(name).open();
      const ended = await end(id);
      t.diagnostic(`figure: lines dead for ${seconds} s: ended ${ended.seconds.toFixed(1)} s later`);
      assert.equal(ended.sha256, expected);
    });
  }

  it('and nothing else is left', { skip: !disk }, async () => {
    const { renders } = await farm.client.list(100);
    assert.deepEqual(new Set(renders.map(({ status }) => status)), new Set(['completed']));
    const folders = await readdir(path.join(disk?.folder ?? '', 'renders'));
    assert.deepEqual(folders.sort(), renders.map(({ id }) => id).sort());
  });

  const pid = (name: string) => farm.pids.get(name) as number;

  /** Nobody is quick enough to see a render queued: nothing may take it up. */
  async function submitWithout(stage: RenderStatus): Promise<RenderView> {
    if (stage === 'queued') process.kill(pid('media'), 'SIGSTOP');
    return await farm.client.submit(speech);
  }

  async function reached(id: string, status: RenderStatus): Promise<void> {
    for (;;) {
      const view = await farm.client.get(id);
      if (view.status === status) return;
      assert.ok(!isTerminal(view.status), `the render was ${view.status} before it was seen ${status}`);
      await delay(LOOK_EVERY_MS);
    }
  }

  async function end(id: string): Promise<{ sha256: string; seconds: number }> {
    const beganMs = performance.now();
    let last: RenderView | undefined;
    for await (const view of farm.client.watch(id, PATIENCE)) last = view;
    assert.equal(last?.status, 'completed', JSON.stringify(last?.error));
    const { video } = await patiently(() => farm.client.receipt(id), PATIENCE);
    return { sha256: video?.sha256 ?? '', seconds: (performance.now() - beganMs) / 1000 };
  }
});
