import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { resolveModel } from '../../shared/config/model-config.ts';
import { modelSchema } from '../../shared/config/model-entry.ts';
import { frameMemory } from '../../shared/process/spare-memory.ts';
import { type LiveFrame, PipelineThread } from '../../worker/engine/pipeline-thread.ts';
import type { LiveForm } from '../../worker/engine/thread-protocol.ts';
import { buildSmallAvatar, SMALL_MODEL } from '../support/small-avatar.ts';

const KB = 1024;

describe('memory of finished frames', () => {
  it('serves a later frame of about the same size', () => {
    const memory = frameMemory();
    const first = memory.take(70 * KB);
    assert.equal(first.length, 70 * KB);
    const second = memory.take(70 * KB);
    assert.notEqual(second.buffer, first.buffer);
    memory.giveBack(first.buffer);
    const third = memory.take(75 * KB);
    assert.equal(third.buffer, first.buffer);
    assert.deepEqual([third.byteOffset, third.length], [0, 75 * KB]);
  });

  it('is not used for frames that are larger, or much smaller', () => {
    const memory = frameMemory();
    const { buffer } = memory.take(70 * KB);
    memory.giveBack(buffer);
    assert.notEqual(memory.take(100 * KB).buffer, buffer);
    assert.notEqual(memory.take(20 * KB).buffer, buffer);
    assert.equal(memory.take(70 * KB).buffer, buffer);
  });

  it('is kept up to a bound, what came back last in any case', () => {
    const memory = frameMemory(200 * KB);
    const buffers = [64, 64, 64, 64].map((kb) => memory.take(kb * KB).buffer);
    for (const buffer of buffers) memory.giveBack(buffer);
    const again = buffers.map(() => memory.take(64 * KB).buffer);
    assert.deepEqual(
      again.map((buffer) => buffers.indexOf(buffer)),
      [3, 2, 1, -1],
    );
    memory.giveBack(memory.take(300 * KB).buffer);
    assert.equal(memory.take(1).length, 1);
  });
});

describe('frames whose memory is given back', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-test-frame-memory-'));
  await buildSmallAvatar();
  const threads = startThreads(folder);
  after(async () => {
    await threads.close();
    await rm(folder, { recursive: true });
  });

  for (const form of [
    { kind: 'jpeg', quality: 75 },
    { kind: 'jpeg', quality: 40 },
    { kind: 'raw' },
    { kind: 'mouths' },
  ] as const) {
    it(`are those of memory of their own, as ${JSON.stringify(form)}`, async () => {
      const own = await framesOf(threads, form, () => undefined);
      // Two requests side by side, whose frames are held for a while, as those are that wait for a slow reader.
      const hold = async (frame: LiveFrame) => {
        await sleep(frame.frameIndex % 3);
        const held = Buffer.from(frame.data);
        frame.giveBack();
        assert.equal(frame.data.length, 0, 'nobody here can read it any more');
        return held;
      };
      for (let round = 0; round < 3; round++) {
        const answers = await Promise.all([framesOf(threads, form, hold), framesOf(threads, form, hold)]);
        for (const frames of answers) assert.deepEqual(frames, own);
      }
    });
  }
});

const FRAMES = 12;

/** What a request's frames were when they were let go, in order; copies of them where `read` gives none. */
async function framesOf(
  threads: PipelineThread,
  form: LiveForm,
  read: (frame: LiveFrame) => Promise<Buffer> | undefined,
): Promise<Buffer[]> {
  const held: Promise<Buffer>[] = [];
  const sound = Float32Array.from({ length: FRAMES * 640 }, (_, at) => Math.sin(at / 7) * Math.sin(at / 900));
  const task = {
    ...{ requestId: crypto.randomUUID(), modelId: 'small', frames: { start: 0, end: FRAMES }, startFrameIndex: 0 },
    ...{ totalSamples: sound.length, firstSample: 0, rowsAhead: 7, form, visualForm: 'floats' as const },
    ...{ audio: new Uint8Array(sound.buffer), visualFrames: new Uint8Array(), audioFeatures: new Uint8Array() },
  };
  await threads.live(task, AbortSignal.timeout(60_000), (frames) => {
    held.push(...frames.map((frame) => Promise.resolve(read(frame) ?? Buffer.from(frame.data))));
  });
  return await Promise.all(held);
}

function startThreads(folder: string): PipelineThread {
  const roots = { configDir: '/', modelsRoot: '', audioEncoderPath: '' };
  const settings = {
    ...{ providers: ['cpu'], threads: { intraOp: 1, interOp: 1 }, cachedFrames: 1, storageRoot: folder },
    preparing: { folder: path.join(folder, 'prepared'), quality: 75, processes: 0 },
    log: { processName: 'test', level: 'error' },
    models: new Map([['small', resolveModel('small', modelSchema.parse(SMALL_MODEL), roots)]]),
    limits: { maxModels: 1, maxBytes: 16e9, evictionPolicy: 'lru' as const, idleTimeoutMs: 3.6e6 },
    liveBatches: { maxFrames: 4, maxWaitMs: 0 },
    stuck: { workMs: 60_000, loadMs: 60_000 },
  };
  return new PipelineThread(settings, { onDeath: (cause) => assert.fail(cause), onModels() {} });
}
