import { writeFile } from 'node:fs/promises';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { FrameMemory } from '../../shared/process/spare-memory.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { planeLayout } from '../compositor/planes.ts';
import { SegmentEncoder } from '../media/encode-segment.ts';
import {
  type CompositorReport,
  type FileOutput,
  type FrameOutput,
  isVideoOutput,
  type SegmentVideoOutput,
} from './compositor-protocol.ts';
import type { FinishClock } from './finish-clock.ts';
import type { FramePainter, FrameToPaint } from './frame-painter.ts';
import type { TaskFrames } from './task-frames.ts';
import type { FrameBytes } from './thread-protocol.ts';

/** Where the frames of a task go. */
export interface FrameSink extends AsyncDisposable {
  /** Takes the next frame; waits while too many frames are being encoded or written. */
  write(frame: FrameToPaint): Promise<void>;
  /** Resolves when every frame that was passed to `write` is where it belongs, but for those that go with the end. */
  finish(): Promise<readonly FrameBytes[]>;
}

export interface SinkTools {
  readonly painter: FramePainter;
  /** That the painter writes to. */
  readonly memory: FrameMemory;
  readonly artifacts: ArtifactStore;
  readonly toMain: (message: CompositorReport, handedOver?: ArrayBuffer[]) => void;
}

/** Opens the sink that a task asks for, lets `run` fill it, and cleans up in any case. */
export async function withSink(
  task: TaskFrames,
  tools: SinkTools,
  run: (sink: FrameSink) => Promise<void>,
): Promise<void> {
  const { taskId, output } = task;
  if (isVideoOutput(output)) {
    return await tools.artifacts.publish(output.key, async (path) => {
      await using video = new SegmentVideo(output, path, task, tools.painter);
      await run(video);
    });
  }
  await using frames = output.kind === 'live' ? liveFrames(taskId, output, tools) : frameFolder(output, tools);
  await run(frames);
}

/** A video file, encoded as the frames come. How many are on their way is bounded by the memory of their planes. */
class SegmentVideo implements FrameSink {
  readonly #encoder: SegmentEncoder;
  readonly #painter: FramePainter;
  readonly #clock: FinishClock;
  /** The first fault of ffmpeg. */
  #fault: unknown;

  constructor(
    { picture, ...settings }: SegmentVideoOutput,
    path: string,
    { signal, clock }: TaskFrames,
    painter: FramePainter,
  ) {
    this.#encoder = new SegmentEncoder(planeLayout(picture), settings, path, signal);
    this.#painter = painter;
    this.#clock = clock;
  }

  async write(frame: FrameToPaint): Promise<void> {
    try {
      if (this.#fault) throw this.#fault;
      const planes = this.#painter.planes(frame);
      const read = this.#clock.encode(() => this.#encoder.write(planes)).finally(frame.release);
      read.catch((fault) => {
        this.#fault = fault;
      });
    } catch (error) {
      frame.release();
      throw error;
    }
  }

  async finish(): Promise<readonly FrameBytes[]> {
    await this.#clock.encode(() => this.#encoder.finish());
    return [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#encoder.abandon();
  }
}

/** The memory of frames, for whoever hands it over. */
export function buffersOf(frames: readonly FrameBytes[]): ArrayBuffer[] {
  return frames.map(({ data }) => data.buffer);
}

/** One file a frame; they are written side by side. */
function frameFolder(
  { kind, renderId, jpegQuality }: FileOutput,
  { painter, memory, artifacts }: SinkTools,
): FrameSink {
  const write = async (frame: FrameToPaint, file: Uint8Array) => {
    const key = artifactKeys.frame(renderId, frame.frameIndex, kind);
    await frame.clock.encode(() => artifacts.publish(key, (path) => writeFile(path, file)));
  };
  if (kind === 'png-frames') return new FramesInFlight(async (frame) => write(frame, await painter.png(frame)));
  return new FramesInFlight(async (frame) => {
    const jpeg = await painter.jpeg(frame, jpegQuality);
    await write(frame, jpeg);
    memory.giveBack(jpeg.buffer);
  });
}

/** Frames are sent to the main thread, which each message wakes: the last group goes with the end. */
function liveFrames(
  taskId: number,
  { form, groupBytes }: Extract<FrameOutput, { kind: 'live' }>,
  { painter, toMain }: SinkTools,
): FrameSink {
  let group: FrameBytes[] = [];
  let bytes = 0;
  const takeGroup = () => {
    const frames = group;
    [group, bytes] = [[], 0];
    return frames;
  };
  const finish: FinishFrame = async (frame, before) => {
    const data = form.kind === 'raw' ? painter.pixels(frame).data : await painter.jpeg(frame, form.quality);
    await before;
    group.push({ frameIndex: frame.frameIndex, data });
    bytes += data.length;
    if (bytes < groupBytes) return;
    const frames = takeGroup();
    toMain({ type: 'frames', taskId, frames }, buffersOf(frames));
  };
  return new FramesInFlight(finish, takeGroup);
}

/** Paints and encodes a frame, and puts it where it belongs; `before` settles when the frame before it is there. */
type FinishFrame = (frame: FrameToPaint, before: Promise<void>) => Promise<void>;

/** Frames being encoded or written at once: enough to keep the encoder's threads busy during the next run. */
const FRAMES_IN_FLIGHT = 4;

/** Encodes and writes several frames at once. */
class FramesInFlight implements FrameSink {
  readonly #finish: FinishFrame;
  readonly #takeRest: () => readonly FrameBytes[];
  readonly #inFlight: Promise<void>[] = [];
  #last: Promise<void> = Promise.resolve();

  /** @param takeRest after the last frame, those that go with the end. */
  constructor(finish: FinishFrame, takeRest: () => readonly FrameBytes[] = () => []) {
    this.#finish = finish;
    this.#takeRest = takeRest;
  }

  async write(frame: FrameToPaint): Promise<void> {
    const finished = this.#finish(frame, this.#last);
    finished.catch(ignored('the write or finish that waits for this frame reports it'));
    this.#last = finished;
    this.#inFlight.push(finished);
    if (this.#inFlight.length >= FRAMES_IN_FLIGHT) await this.#inFlight.shift();
  }

  async finish(): Promise<readonly FrameBytes[]> {
    await Promise.all(this.#inFlight.splice(0));
    return this.#takeRest();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#inFlight);
  }
}
