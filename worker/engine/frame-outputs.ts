import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { frameMemory } from '../../shared/process/spare-memory.ts';
import { unexpected } from '../../shared/process/unheard.ts';
import type { CompositorReport, FinishTimings, FromCompositor, LiveEnd, ToCompositor } from './compositor-protocol.ts';
import { FinishClock } from './finish-clock.ts';
import { FrameLine } from './frame-line.ts';
import { FramePainter, type FrameToPaint } from './frame-painter.ts';
import { buffersOf, type FrameSink, type SinkTools, withSink } from './frame-sinks.ts';
import { NoteTaker } from './note-taker.ts';
import { TaskFrames } from './task-frames.ts';
import type { FrameBytes } from './thread-protocol.ts';

/** Progress goes to Redis, so it is reported twice a second at most. */
const PROGRESS_EVERY_MS = 500;

export interface FrameOutputsTools {
  readonly artifacts: ArtifactStore;
  readonly toPipeline: (message: FromCompositor) => void;
  /** @param handedOver buffers that are transferred to the receiver. */
  readonly toMain: (message: CompositorReport, handedOver?: ArrayBuffer[]) => void;
}

/** What the compositor thread does: frames of several tasks, each put together and written in its own order. */
export class FrameOutputs {
  readonly #tools: SinkTools & FrameOutputsTools;
  readonly #tasks = new Map<number, TaskFrames>();
  /** Of all tasks: a segment that is done sooner than that is seen, too. */
  #shownAtMs = Number.NEGATIVE_INFINITY;

  constructor(tools: FrameOutputsTools) {
    const memory = frameMemory();
    this.#tools = { ...tools, memory, painter: new FramePainter(memory) };
  }

  /** Takes the memory of a frame that was sent to the main thread, for later frames. Nobody may read it any more. */
  takeBack(memory: ArrayBuffer): void {
    this.#tools.memory.giveBack(memory);
  }

  /** Does what the pipeline thread asks. */
  receive(message: Exclude<ToCompositor, { type: 'end' }>): void {
    const { taskId } = message;
    if (message.type === 'open') {
      const opened = new TaskFrames(taskId, message.output);
      this.#tasks.set(taskId, opened);
      this.#write(opened).catch(unexpected);
      return;
    }
    const task = this.#tasks.get(taskId);
    // It has ended meanwhile, and said so: a segment is given up whenever its end was a failure.
    if (!task && message.type === 'abandon') return;
    if (!task)
      throw new FarmError('internal', `A message of type ${message.type} for task ${taskId}, which is not open`);
    switch (message.type) {
      case 'frame':
        task.add(message.frame, () => this.#tools.toPipeline({ type: 'used', frameId: message.frameId }));
        break;
      case 'close':
        task.close(message.end);
        break;
      case 'abandon':
        task.close();
        task.giveUp(new Error('the frames are not wanted any more'));
    }
  }

  /** Writes a task's frames from the first to the last, and says how it ended. */
  async #write(task: TaskFrames): Promise<void> {
    const { taskId } = task;
    const { toPipeline, toMain } = this.#tools;
    let last: readonly FrameBytes[] = [];
    let error: FarmError | undefined;
    try {
      await withSink(task, this.#tools, async (sink) => {
        last = await this.#fill(sink, task);
      });
    } catch (thrown) {
      error = FarmError.from(thrown, 'inference_failed');
      task.giveUp(error);
      if (!task.isOver) toPipeline({ type: 'broken', taskId, error: error.toReport() });
    }
    await task.whenOver();
    this.#tasks.delete(taskId);
    const { timings } = task.clock;
    if (task.end && error) toMain({ type: 'failed', taskId, error: error.toReport() });
    else if (task.end) toMain({ ...withTimings(task.end, timings), frames: last }, buffersOf(last));
    toPipeline({ type: 'closed', taskId, timings, ...(error && { error: error.toReport() }) });
  }

  /** @returns the frames that go with the end. */
  async #fill(sink: FrameSink, task: TaskFrames): Promise<readonly FrameBytes[]> {
    let framesDone = 0;
    const { output } = task;
    const notes = output.kind !== 'live' && output.notes ? new NoteTaker(output.notes, this.#tools) : undefined;
    for (let frame = await task.next(); frame; frame = await task.next()) {
      framesDone += 1;
      const now = performance.now();
      if (output.kind !== 'live' && now - this.#shownAtMs >= PROGRESS_EVERY_MS) {
        this.#shownAtMs = now;
        await this.#show(task.taskId, framesDone, frame);
      }
      notes?.note(frame);
      await sink.write(frame);
    }
    const last = await sink.finish();
    await notes?.finish();
    return last;
  }

  /** A preview shows how far a render is. */
  async #show(taskId: number, framesDone: number, frame: FrameToPaint): Promise<void> {
    const latestJpeg = await this.#tools.painter.shown({ ...frame, clock: new FinishClock() });
    this.#tools.toMain({ type: 'progress', taskId, framesDone, latestJpeg }, [latestJpeg.buffer]);
  }
}

/** A line whose compositor works in this thread, for commands that make no frames of live requests. */
export function lineInThisThread(artifacts: ArtifactStore): FrameLine {
  const line: FrameLine = new FrameLine((message) => {
    if (message.type !== 'end') outputs.receive(message);
  });
  const outputs = new FrameOutputs({ artifacts, toPipeline: (message) => line.receive(message), toMain: () => {} });
  return line;
}

function withTimings(end: LiveEnd, { composite, encode, spans }: FinishTimings): LiveEnd {
  const { timings, spans: before } = end.result;
  const traced = before ? { spans: { ...before, ...spans } } : {};
  return { ...end, result: { ...end.result, timings: { ...timings, composite }, encodeMs: encode, ...traced } };
}
