import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gpuOnce, gpusThatRender, renderOn, startSecondWorker } from '../farm/second-worker.ts';
import { endProcess } from '../gpu/gpu-process.ts';
import { startFarm, type TestFarm } from '../support/farm.ts';
import { runCli } from '../support/run-cli.ts';
import { SMALL_MODEL } from '../support/small-avatar.ts';
import { syllables, writeWav } from '../support/sound.ts';

/** 350 frames in segments of 10: on a fast machine too something must be left when the idle one looks. */
const SECONDS = 14;
/** For renders of which it matters only who makes them. */
const BRIEF_SECONDS = 0.8;

describe('two GPUs that share their work', () => {
  let farm: TestFarm;
  let other: ChildProcess;
  let speech = '';
  let brief = '';
  /** The video that GPU 7 helps with, each segment when it happens to be idle. */
  let expected: string | undefined;

  before(async () => {
    farm = await startFarm({
      models: { small: SMALL_MODEL, settled: { ...SMALL_MODEL, preferred_gpu: 0 } },
      render: { segment_frames: 10 },
    });
    speech = path.join(farm.folder, 'speech.wav');
    await writeWav(speech, syllables(SECONDS));
    brief = path.join(farm.folder, 'brief.wav');
    await writeWav(brief, syllables(BRIEF_SECONDS));
    await gpusThatRender(farm, brief, 'small');
    // It holds a model of which all work is placed on the other.
    other = await startSecondWorker(farm, 7, { settled: { ...SMALL_MODEL, preferred_gpu: 7, preload_model: true } });
  });
  after(async () => {
    await endProcess(other, 'SIGTERM');
    await farm[Symbol.asyncDispose]();
  });

  const orderByCli = async (order: 'drain' | 'resume', gpuId: number) => {
    const run = runCli('gpu', order, String(gpuId), '--url', farm.url);
    assert.equal(await run.exited, 0, run.output());
    return run.output();
  };

  it('say who they are, what they hold and what it costs', async () => {
    const { gpus } = await farm.client.gpus();
    assert.deepEqual(
      gpus.map(({ gpu, state, pid }) => [gpu, state, pid]),
      [
        [0, 'ready', farm.farm.pids.get('gpu-0')],
        [7, 'ready', other.pid],
      ],
    );
    const [first, second] = gpus;
    assert.equal(first?.provider, 'cpu');
    assert.match(first?.device ?? '', /\d cores$/);
    const small = first?.models.find(({ model_id }) => model_id === 'small');
    assert.ok(small?.loaded);
    assert.ok((small.inference_ms ?? 0) > 0);
    assert.ok((small.load_ms ?? 0) > (small.frame_ms ?? Infinity), `${small.load_ms} ms, ${small.frame_ms} ms`);
    assert.deepEqual(
      second?.models.map(({ model_id, loaded, load_ms }) => [model_id, loaded, load_ms !== null]),
      [
        ['small', false, false],
        ['settled', true, true],
      ],
    );
  });

  it('an idle one takes from the queue of the other', async () => {
    const { sha256, gpus } = await renderOn(farm, speech, 'settled');
    expected = sha256;
    assert.deepEqual(new Set(gpus), new Set([0, 7]));
  });

  it('one that is drained finishes what it has begun, and the other does the rest, to the same bytes', async () => {
    const { sha256 } = await renderOn(farm, speech, 'small', () => orderByCli('drain', 0));
    assert.equal(sha256, expected);
    const drained = await gpuOnce(farm, 0, 'drained', ({ state }) => state === 'drained');
    assert.equal(drained.backlog.jobs, 0);
    assert.deepEqual(drained.capacity, { streams: 0, used: 0, free: 0 });
    assert.deepEqual(await gpusThatRender(farm, brief, 'settled'), new Set([7]));
    await farm.client.resumeGpu(0);
  });

  it('a drain outlives a restart of the worker, and ends when it is resumed', async () => {
    await farm.client.drainGpu(0);
    await gpuOnce(farm, 0, 'drained', ({ state }) => state === 'drained');
    const before = farm.farm.pids.get('gpu-0') as number;
    process.kill(before, 'SIGKILL');
    await gpuOnce(farm, 0, 'back', ({ pid, state }) => pid !== before && state === 'drained');
    assert.match(await orderByCli('resume', 0), /GPU 0 is ready/);
    assert.ok((await gpusThatRender(farm, brief, 'settled')).has(0));
  });

  it('are listed by farm gpu list, and one that is not there is refused', async () => {
    const list = runCli('gpu', 'list', '--url', farm.url);
    assert.equal(await list.exited, 0);
    assert.match(list.output(), /^0 +ready .*\n7 +ready /m);
    const drain = runCli('gpu', 'drain', '5', '--url', farm.url);
    assert.equal(await drain.exited, 1);
    assert.match(drain.output(), /There is no GPU 5; the farm has 0, 7\n.*gpu_unknown/);
  });
});
