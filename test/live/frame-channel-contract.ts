import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ChannelEntry, FencedOut, type FrameReader, type FrameWriter } from '../../shared/live/frames.ts';
import type { LivePayload } from '../../shared/live/live-payload.ts';

/** A channel of one request, both ends of it. */
export interface ChannelUnderTest {
  readonly reader: FrameReader;
  /** Places the request again, with the first frame that has not come. */
  begin(attempt: number, nextFrame: number): Promise<void>;
  /** The worker's end, for a run that has not opened the channel yet. */
  writer(attempt: number, pickup?: number): FrameWriter;
  /** Breaks the connection of all writers; they may connect again. */
  breakLine(): void;
  /** The front end no longer waits. */
  giveUp(): Promise<void>;
}

const NOTHING = Buffer.alloc(0);
const EMPTY: LivePayload = { audio: NOTHING, visualFrames: NOTHING, visualForm: 'floats', audioFeatures: NOTHING };
const SUMMARY = { gpuId: 3, modelWasLoaded: true, modelLoadMs: 0, audioMs: 1, inferenceMs: 2, compositeMs: 3 };
const FAULT = { code: 'inference_failed', message: 'the network fell over', remedy: 'mend it' } as const;
const FRAMES = 12;
/** More than a writer may have unread, in frames that travel in several pieces. */
const BIG_FRAME_BYTES = 700_000;

const frame = (frameIndex: number, bytes = 20) => ({
  frameIndex,
  data: Buffer.alloc(bytes, `frame ${frameIndex}, `),
});
const range = (start: number, end: number) => Array.from({ length: end - start }, (_, place) => start + place);

/**
 * What every frame channel keeps to. `openChannel` opens one that is placed as attempt 1, and goes when the file's tests
 * have ended.
 */
export function frameChannelContract(
  channelName: string,
  openChannel: (payload: LivePayload, frames: { start: number; end: number }) => Promise<ChannelUnderTest>,
): void {
  const open = (payload = EMPTY, frames = { start: 0, end: FRAMES }) => openChannel(payload, frames);

  describe(`the frame channel ${channelName}`, () => {
    it('carries what a worker says, in order', async () => {
      const { reader, writer } = await open();
      const worker = writer(1);
      const [opened, first] = await Promise.all([worker.open(), reader.next(2000)]);
      assert.deepEqual(opened, { state: 'wanted', payload: EMPTY, firstFrame: 0 });
      assert.deepEqual(first, [{ type: 'taken', gpuId: 3 }]);
      await Promise.all([worker.frames([frame(0)]), worker.frames([frame(1), frame(2)])]);
      await worker.done(SUMMARY, [frame(3)]);
      const entries = await readToEnd(reader);
      assert.deepEqual(entries, [
        ...range(0, 4).map((index) => ({ type: 'frame', ...frame(index) })),
        { type: 'done', summary: SUMMARY },
      ]);
    });

    it('brings the payload as it is, small and large', async () => {
      const payload: LivePayload = {
        audio: Buffer.alloc(40_000, 'sound'),
        visualFrames: Buffer.alloc(2 ** 20, 'pictures'),
        visualForm: 'planes',
        audioFeatures: Buffer.of(7),
      };
      const { writer, reader } = await open(payload);
      const [opened] = await Promise.all([writer(1).open(), reader.next(2000)]);
      assert.equal(opened.state, 'wanted');
      if (opened.state === 'wanted') assert.deepEqual({ ...opened.payload }, payload);
    });

    it('carries empty frames, and a request without frames', async () => {
      const { reader, writer } = await open();
      const worker = writer(1);
      await both(worker, reader);
      await worker.frames([frame(0, 0), frame(1, 0)]);
      await worker.done(SUMMARY, []);
      assert.deepEqual(indexes(await readToEnd(reader)), [0, 1, 'done']);
      const none = await open();
      const idle = none.writer(1);
      await both(idle, none.reader);
      await idle.done(SUMMARY, []);
      assert.deepEqual(indexes(await readToEnd(none.reader)), ['done']);
    });

    it('carries a failure after the frames before it', async () => {
      const { reader, writer } = await open();
      const worker = writer(1);
      await both(worker, reader);
      await Promise.all([worker.frames([frame(0)]), worker.failed(FAULT)]);
      const entries = await readToEnd(reader);
      assert.deepEqual(indexes(entries), [0, 'failed']);
      assert.deepEqual(entries.at(-1), { type: 'failed', error: FAULT });
    });

    it('keeps large frames for a reader that comes late, in order', async () => {
      const { reader, writer } = await open();
      const worker = writer(1);
      await both(worker, reader);
      const written = Promise.all([
        ...range(0, FRAMES).map((index) => worker.frames([frame(index, BIG_FRAME_BYTES)])),
        worker.done(SUMMARY, []),
      ]);
      const entries = await readToEnd(reader);
      await written;
      assert.deepEqual(indexes(entries), [...range(0, FRAMES), 'done']);
      for (const entry of entries) {
        if (entry.type === 'frame') assert.ok(entry.data.equals(frame(entry.frameIndex, BIG_FRAME_BYTES).data));
      }
    });

    it("gives a frame's memory back once, and not before its bytes have come", async () => {
      const { reader, writer, breakLine } = await open();
      const worker = writer(1);
      await both(worker, reader);
      const given: number[] = [];
      /** Its memory is written again at once. */
      const borrowed = (index: number) => {
        const lent = frame(index, BIG_FRAME_BYTES);
        const giveBack = () => {
          given.push(index);
          lent.data.fill('overwritten');
        };
        return { ...lent, giveBack };
      };
      const written = range(0, FRAMES - 1).map((index) => worker.frames([borrowed(index)]));
      written.push(worker.done(SUMMARY, [borrowed(FRAMES - 1)]));
      const entries = await readUntil(reader, 3);
      breakLine();
      if (entries.at(-1)?.type !== 'done') entries.push(...(await readToEnd(reader)));
      await Promise.all(written);
      assert.deepEqual(indexes(entries), [...range(0, FRAMES), 'done']);
      for (const entry of entries) {
        if (entry.type === 'frame') assert.ok(entry.data.equals(frame(entry.frameIndex, BIG_FRAME_BYTES).data));
      }
      const once = new Set(given);
      assert.equal(once.size, given.length);
      // Of frames that were on their way when the line broke it may not be certain.
      assert.ok(once.has(FRAMES - 1) && once.size >= FRAMES / 2, `${given}`);
    });

    it('fences out a worker whose request was placed again and taken', async () => {
      const { reader, writer, begin } = await open();
      const [old, next] = [writer(1), writer(2)];
      await both(old, reader);
      await old.frames([frame(0)]);
      assert.deepEqual(indexes(await readUntil(reader, 1)), [0]);
      await begin(2, 1);
      await both(next, reader);
      await assert.rejects(async () => await old.frames([frame(1)]), FencedOut);
      await assert.rejects(async () => await old.done(SUMMARY, []), FencedOut);
      assert.deepEqual(await writer(1).open(), { state: 'over' });
      await next.done(SUMMARY, [frame(1)]);
      assert.deepEqual(indexes(await readToEnd(reader)), [1, 'done']);
    });

    it('lets a later pickup go on after the frames that came', async () => {
      const { reader, writer } = await open();
      const first = writer(1);
      await both(first, reader);
      await first.frames([frame(0), frame(1)]);
      assert.deepEqual(indexes(await readUntil(reader, 2)), [0, 1]);
      first.close();
      const second = writer(1, 2);
      const opened = await both(second, reader);
      assert.equal(opened.state === 'wanted' && opened.firstFrame, 2);
      await second.done(SUMMARY, [frame(2)]);
      assert.deepEqual(indexes(await readToEnd(reader)), [2, 'done']);
      assert.deepEqual(await writer(1, 3).open(), { state: 'over' });
    });

    it('goes on after a break, and loses and repeats nothing', async () => {
      const { reader, writer, breakLine } = await open();
      const worker = writer(1);
      await both(worker, reader);
      const entries: ChannelEntry[] = [];
      const written: Promise<void>[] = [];
      for (const index of range(0, FRAMES)) {
        written.push(worker.frames([frame(index, 100_000)]));
        if (index % 5 === 4) breakLine();
        entries.push(...(await reader.next(1)));
      }
      written.push(worker.done(SUMMARY, []));
      breakLine();
      entries.push(...(await readToEnd(reader)));
      await Promise.all(written);
      assert.deepEqual(indexes(entries), [...range(0, FRAMES), 'done']);
    });

    it('tells a worker that nobody waits', async () => {
      const { reader, writer, giveUp } = await open();
      const worker = writer(1);
      await both(worker, reader);
      await giveUp();
      const fault = await worker.frames([frame(0)]).catch((error: unknown) => error);
      assert.ok(fault === undefined || fault instanceof FencedOut);
      assert.deepEqual(await writer(1, 2).open(), { state: 'gone' });
    });
  });
}

/** Opens the worker's end while the front end reads, as it always does. */
async function both(worker: FrameWriter, reader: FrameReader) {
  const [opened, entries] = await Promise.all([worker.open(), reader.next(300)]);
  assert.deepEqual(indexes(entries), []);
  return opened;
}

async function readUntil(reader: FrameReader, frames: number): Promise<ChannelEntry[]> {
  const entries: ChannelEntry[] = [];
  while (entries.filter(({ type }) => type === 'frame').length < frames) entries.push(...(await reader.next(2000)));
  return entries;
}

async function readToEnd(reader: FrameReader): Promise<ChannelEntry[]> {
  const entries: ChannelEntry[] = [];
  for (let turn = 0; turn < 100; turn++) {
    entries.push(...(await reader.next(2000)).filter(({ type }) => type !== 'taken'));
    if (['done', 'failed'].includes(entries.at(-1)?.type ?? '')) return entries;
  }
  throw new Error(`No end has come, but ${indexes(entries)}`);
}

/** What came, without repetitions of `taken`: a frame by its number. */
function indexes(entries: readonly ChannelEntry[]): (number | string)[] {
  return entries
    .filter(({ type }) => type !== 'taken')
    .map((entry) => (entry.type === 'frame' ? entry.frameIndex : entry.type));
}
