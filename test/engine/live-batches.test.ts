import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LiveBatches, type LiveBatchSettings } from '../../worker/engine/live-batches.ts';
import { Turns } from '../../worker/engine/turns.ts';
import {
  AUDIO_INPUT_FLOATS,
  type AvatarPictures,
  type FrameInputs,
  type MouthFrame,
} from '../../worker/pipeline/contract.ts';
import { noTimings } from '../../worker/pipeline/stage-timings.ts';
import { FloatNetwork } from '../pipeline/float-network.ts';

const SIZE = 160;
const NEVER = new AbortController().signal;
const PICTURES: AvatarPictures<undefined> = {
  frameCount: 1,
  picture: async () => undefined,
  face: async () => {},
  hasHiddenFaces: false,
  hiddenFace: async () => {},
};

/** Notes what shares a run. A frame is known by the first number that it hears; one that hears −1 breaks its run. */
class NotingNetwork extends FloatNetwork {
  readonly size = SIZE;
  readonly framesPerRun = 32;
  readonly runs: number[][] = [];
  running = Promise.withResolvers<void>();

  async generate(_visual: Float32Array, audio: Float32Array, count: number): Promise<Float32Array> {
    const audioInput = Array.from({ length: count }, (_, place) => audio[place * AUDIO_INPUT_FLOATS] as number);
    this.runs.push(audioInput);
    this.running.resolve();
    await new Promise(setImmediate);
    if (audioInput.includes(-1)) throw new Error('unlucky');
    return new Float32Array(count * 3 * SIZE * SIZE);
  }
}

async function* frameInputs(
  marks: readonly number[],
  onOrder: () => void = () => {},
): AsyncGenerator<FrameInputs<undefined>> {
  for (const [frameIndex, mark] of marks.entries()) {
    onOrder();
    yield {
      ...{
        frameIndex,
        wanted: true,
        pictures: PICTURES,
        pictureIndex: 0,
        picture: undefined,
        visualInput: undefined,
      },
      audioInput: new Float32Array(AUDIO_INPUT_FLOATS).fill(mark),
      timings: noTimings(),
    };
  }
}

function start(settings: Partial<LiveBatchSettings> = {}) {
  const network = new NotingNetwork();
  const turns = new Turns();
  const batches = new LiveBatches<undefined>(network, turns, { maxFrames: 4, maxWaitMs: 0, ...settings });
  const render = async (source: string, marks: readonly number[], signal = NEVER, onOrder?: () => void) => {
    const frames: MouthFrame<undefined>[] = [];
    await batches.render({
      inputs: frameInputs(marks, onOrder),
      source,
      signal,
      onFrame: (frame) => {
        frames.push(frame);
        frame.memory.release();
      },
    });
    return frames.map(({ frameIndex }) => frameIndex);
  };
  return { network, turns, render };
}

test('frames of concurrent requests share runs, one of each in turn', async () => {
  const { network, render } = start();
  const delivered = await Promise.all([render('a', [10, 11, 12]), render('b', [20, 21, 22]), render('c', [30, 31])]);
  assert.deepEqual(delivered, [
    [0, 1, 2],
    [0, 1, 2],
    [0, 1],
  ]);
  assert.deepEqual(network.runs.flat().toSorted(), [10, 11, 12, 20, 21, 22, 30, 31]);
  assert.deepEqual(network.runs[0], [10, 20, 30, 11]);
  assert.deepEqual(network.runs.length, 2);
});

test('whoever has the last place in a run has the first of the others in the next', async () => {
  const { network, render } = start({ maxFrames: 1 });
  await Promise.all([render('a', [10, 11, 12]), render('b', [20, 21, 22]), render('c', [30, 31, 32])]);
  assert.deepEqual(network.runs.flat(), [10, 20, 30, 11, 21, 31, 12, 22, 32]);
});

test('requests of one source are served one after the other', async () => {
  const { network, render } = start({ maxFrames: 1 });
  await Promise.all([render('a', [10, 11]), render('a', [12, 13]), render('b', [20, 21])]);
  assert.deepEqual(network.runs.flat(), [10, 20, 11, 21, 12, 13]);
});

test('no more frames are made ready than fill a run', async () => {
  const { network, render, turns } = start({ maxFrames: 2 });
  const held = Promise.withResolvers<void>();
  const turn = turns.run('segment', NEVER, () => held.promise);
  let ordered = 0;
  const enough = Promise.withResolvers<void>();
  const rendered = render('a', [1, 2, 3, 4, 5], NEVER, () => ++ordered === 2 && enough.resolve());
  await enough.promise;
  await new Promise(setImmediate);
  assert.equal(ordered, 2);
  held.resolve();
  await Promise.all([turn, rendered]);
  assert.deepEqual(network.runs, [[1, 2], [3, 4], [5]]);
});

test('a run that is not full waits for more frames, and a full one does not', async () => {
  const { network, render } = start({ maxWaitMs: 60_000, maxFrames: 3 });
  await Promise.all([render('a', [10]), render('b', [20]), render('c', [30])]);
  assert.deepEqual(network.runs, [[10, 20, 30]]);
  const hurried = start({ maxWaitMs: 1, maxFrames: 3 });
  assert.deepEqual(await hurried.render('a', [10]), [0]);
});

test('a frame that breaks a run costs its own request only', async () => {
  const { render } = start();
  const [good, bad] = await Promise.allSettled([render('a', [10, 11]), render('b', [20, -1])]);
  assert.deepEqual(good, { status: 'fulfilled', value: [0, 1] });
  assert.equal(bad.status === 'rejected' && (bad.reason as Error).message, 'unlucky');
});

test('an aborted request ends after the run that holds its frames, and the others go on', async () => {
  const { network, render } = start({ maxFrames: 2 });
  const controller = new AbortController();
  const reason = new Error('nobody waits');
  const aborted = render('a', [10, 11, 12, 13, 14, 15], controller.signal);
  const other = render('b', [20, 21, 22]);
  await network.running.promise;
  controller.abort(reason);
  await assert.rejects(aborted, reason);
  assert.deepEqual(await other, [0, 1, 2]);
  assert.deepEqual(
    network.runs.flat().filter((mark) => mark < 20),
    [10],
  );
});

test('a request that is aborted before it begins has no frames', async () => {
  const { network, render } = start();
  await assert.rejects(render('a', [10], AbortSignal.abort(new Error('too late'))), /too late/);
  assert.deepEqual(await render('a', [11]), [0]);
  assert.deepEqual(network.runs, [[11]]);
});
