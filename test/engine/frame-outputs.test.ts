import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { cutArea } from '../../worker/compositor/area-layout.ts';
import { Compositor } from '../../worker/compositor/compositor.ts';
import { type PreparedPicture, rimBytes } from '../../worker/compositor/contract.ts';
import type {
  CompositorReport,
  FrameOutput,
  FromCompositor,
  LiveEnd,
} from '../../worker/engine/compositor-protocol.ts';
import { FrameLine, type HeldFrame } from '../../worker/engine/frame-line.ts';
import { FrameOutputs } from '../../worker/engine/frame-outputs.ts';
import { CountedMemory } from '../../worker/pipeline/held-memory.ts';
import { noTimings } from '../../worker/pipeline/stage-timings.ts';

const SIZE = { width: 64, height: 48 };
const RECT = { x1: 10, y1: 8, x2: 50, y2: 40 };
const QUALITY = 75;
const LIVE: FrameOutput = { kind: 'live', form: { kind: 'jpeg', quality: QUALITY }, groupBytes: 0 };
const BACKGROUND = { ...SIZE, data: new Uint8Array(SIZE.width * SIZE.height * 3).fill(90) };
const END: LiveEnd = {
  type: 'live-done',
  taskId: 1,
  result: { modelWasLoaded: true, modelLoadMs: 0, timings: noTimings(), encodeMs: 0 },
};

function preparedPicture(): PreparedPicture {
  const prepared = new Compositor().encodeBackground(BACKGROUND, RECT, QUALITY);
  const pixels = { area: cutArea(BACKGROUND, RECT, false), rim: new Uint8Array(rimBytes(160)).fill(90) };
  return { ...SIZE, ...prepared, ...pixels, quality: QUALITY, rect: RECT };
}

/** A line to a compositor in this thread, and all that this one tells. */
async function start(t: TestContext) {
  const folder = await mkdtemp(path.join(tmpdir(), 'farm-line-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const told: CompositorReport[] = [];
  const answers: FromCompositor[] = [];
  const line: FrameLine = new FrameLine((message) => {
    if (message.type !== 'end') outputs.receive(message);
  });
  const outputs = new FrameOutputs({
    artifacts: new LocalArtifacts(folder),
    toPipeline: (message) => {
      answers.push(message);
      line.receive(message);
    },
    toMain: (message) => told.push(message),
  });
  return { folder, told, answers, line };
}

/** A frame, and whether its memory is free again. */
function frameOf(frameIndex: number, changes: Partial<HeldFrame> = {}) {
  const state = { free: false };
  const mouth = new Uint8Array(160 * 160 * 3).fill(frameIndex);
  const memory = new CountedMemory(mouth, () => {
    state.free = true;
  });
  memory.hold();
  const frame: HeldFrame = { frameIndex, mouth, picture: preparedPicture(), memories: [memory], ...changes };
  return { frame, state };
}

test('frames of a live request reach the main thread in order, then its end, with what they took', async (t) => {
  const { line, told } = await start(t);
  const output = line.open(1, LIVE);
  const frames = [0, 1, 2].map((index) => frameOf(index));
  // The first is complete last: its background is still being decoded.
  const late = new Promise<HeldFrame>((resolve) => setImmediate(() => resolve(frames[0]?.frame as HeldFrame)));
  output.write(late);
  for (const { frame } of frames.slice(1)) output.write(frame);
  await output.whenSent();
  const timings = await output.close(END);
  assert.deepEqual(
    told.map((report) => (report.type === 'frames' ? report.frames.map(({ frameIndex }) => frameIndex) : report.type)),
    [[0], [1], [2], 'live-done'],
  );
  const end = told.at(-1);
  assert.ok(end?.type === 'live-done' && end.result.timings.composite === timings.composite && timings.composite > 0);
  assert.ok(frames.every(({ state }) => state.free));
});

test('frames of a request with one answer come in groups, the rest with its end', async (t) => {
  const { line, told } = await start(t);
  const output = line.open(1, { ...LIVE, groupBytes: 1 });
  const whole = line.open(2, { ...LIVE, groupBytes: 1e9 });
  for (const index of [0, 1, 2]) for (const each of [output, whole]) each.write(frameOf(index).frame);
  await Promise.all([output.close(END), whole.close({ ...END, taskId: 2 })]);
  const of = (id: number) =>
    told
      .filter(({ taskId }) => taskId === id)
      .map((report) => [
        report.type,
        ...('frames' in report ? (report.frames ?? []) : []).map((frame) => frame.frameIndex),
      ]);
  assert.deepEqual(of(1), [['frames', 0], ['frames', 1], ['frames', 2], ['live-done']]);
  assert.deepEqual(of(2), [['live-done', 0, 1, 2]]);
});

test('a JPEG of another quality and pixels are made from the whole background', async (t) => {
  const { line, told } = await start(t);
  for (const [taskId, form] of [
    [1, { kind: 'jpeg', quality: 40 }],
    [2, { kind: 'raw' }],
  ] as const) {
    const output = line.open(taskId, { kind: 'live', form, groupBytes: 0 });
    output.write(frameOf(7, { background: BACKGROUND }).frame);
    await output.close({ ...END, taskId });
  }
  const [jpeg, raw] = told.flatMap((report) => (report.type === 'frames' ? report.frames : []));
  assert.equal(jpeg?.data[0], 0xff);
  const at = (x: number, y: number) => raw?.data[(y * SIZE.width + x) * 3];
  assert.deepEqual([at(0, 0), at(30, 24)], [90, 7]);
});

test('files that cannot be written break their output, and its memory comes free', async (t) => {
  const { line, answers, folder } = await start(t);
  // A file where the folder of the renders should be.
  await writeFile(path.join(folder, 'renders'), '');
  const output = line.open(1, { kind: 'frames', renderId: 'one', jpegQuality: QUALITY });
  const frames = [0, 1, 2, 3, 4, 5].map((index) => frameOf(index));
  for (const { frame } of frames) output.write(frame);
  await new Promise((resolve) => output.broken.addEventListener('abort', resolve, { once: true }));
  await assert.rejects(output.whenSent(), { code: 'storage_failed' });
  output.write(frameOf(6).frame);
  await output.abandon();
  assert.ok(frames.every(({ state }) => state.free));
  assert.deepEqual(
    answers.filter(({ type }) => type !== 'used').map(({ type }) => type),
    ['broken', 'closed'],
  );
});

test('a live request whose last frames fail is told so in place of its end', async (t) => {
  const { line, told } = await start(t);
  const output = line.open(1, { kind: 'live', form: { kind: 'raw' }, groupBytes: 0 });
  // Without its background it cannot become pixels.
  const { frame, state } = frameOf(0);
  output.write(frame);
  await assert.rejects(output.close(END), { code: 'internal' });
  assert.deepEqual(
    told.map(({ type }) => type),
    ['failed'],
  );
  assert.ok(state.free);
});

test('an output that is abandoned leaves no file of a video, and holds no memory', async (t) => {
  const { line, folder, told } = await start(t);
  const output = line.open(1, { kind: 'mp4', key: 'renders/one/0.mp4', picture: SIZE, crf: 20, preset: 'ultrafast' });
  const planes = new Uint8Array((SIZE.width * SIZE.height * 3) / 2).fill(128);
  const frames = [0, 1].map((index) => frameOf(index, { planes }));
  for (const { frame } of frames) output.write(frame);
  await output.abandon();
  assert.deepEqual(await readdir(path.join(folder, 'renders/one')), []);
  assert.deepEqual(told, []);
  assert.ok(frames.every(({ state }) => state.free));
});

test('an output is not given up before frames are complete that others have overtaken', async (t) => {
  const { line, told } = await start(t);
  const output = line.open(1, LIVE);
  const [slow, after] = [frameOf(0), frameOf(2)];
  const decoded = Promise.withResolvers<HeldFrame>();
  output.write(decoded.promise);
  output.write(Promise.reject(new Error('this picture is damaged')));
  output.write(after.frame);
  let isOver = false;
  const abandoned = output.abandon().then(() => {
    isOver = true;
  });
  await new Promise(setImmediate);
  assert.equal(isOver, false);
  decoded.resolve(slow.frame);
  await abandoned;
  assert.ok(slow.state.free && after.state.free);
  assert.deepEqual(
    told.filter((report) => report.type === 'frames' && report.frames.some(({ frameIndex }) => frameIndex === 2)),
    [],
  );
});

test('what has failed at its end may be given up: others go on', async (t) => {
  const { line, folder } = await start(t);
  // Where the frames would go, a file lies.
  await writeFile(path.join(folder, 'renders'), 'no folder');
  const files: FrameOutput = { kind: 'frames', renderId: 'r-1', jpegQuality: QUALITY };
  const failing = line.open(1, files);
  failing.write(frameOf(0).frame);
  await assert.rejects(failing.close());
  await failing.abandon();
  const other = line.open(2, LIVE);
  const { frame, state } = frameOf(0);
  other.write(frame);
  await other.close();
  assert.ok(state.free);
});
