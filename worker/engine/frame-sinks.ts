import { writeFile } from 'node:fs/promises';
import { type ArtifactStore, artifactKeys } from '../../shared/artifacts.ts';
import { ignored } from '../../shared/process/unheard.ts';
import { PlaneKernel } from '../compositor/plane-kernel.ts';
import { SegmentEncoder } from '../media/encode-segment.ts';
import type { CompositorReport, FrameOutput } from './compositor-protocol.ts';
import type { FinishClock } from './finish-clock.ts';
import type { FramePainter, FrameToPaint } from './frame-painter.ts';
import type { TaskFrames } from './task-frames.ts';

/** Where the frames of a task go. */
export interface FrameSink extends AsyncDisposable {
  /** Takes the next frame; waits while too many frames are being encoded or written. */
  write(frame: FrameToPaint): Promise<void>;
  /** Resolves when every frame that was passed to `write` is where it belongs. */
  finish(): Promise<void>;
}

export interface SinkTools {
  readonly painter: FramePainter;
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
  if (output.kind === 'mp4') {
    return await tools.artifacts.publish(output.key, async (path) => {
      await using video = new SegmentVideo(output, path, task, tools.painter);
      await run(video);
    });
  }
  await using frames = output.kind === 'live' ? liveFrames(taskId, output, tools) : jpegFolder(output, tools);
  await run(frames);
}

/** Frames that ffmpeg may have on its way: one that it reads, and others that wait while the network runs. */
const PLANES_IN_FLIGHT = 4;

/** A video file, encoded as the frames come. */
class SegmentVideo implements FrameSink {
  readonly #encoder: SegmentEncoder;
  readonly #kernel: PlaneKernel;
  readonly #painter: FramePainter;
  readonly #clock: FinishClock;
  /** Resolves when the planes in that place have been read. */
  readonly #read: Promise<void>[];
  #written = 0;

  constructor(
    { picture, ...settings }: Extract<FrameOutput, { kind: 'mp4' }>,
    path: string,
    { signal, clock }: TaskFrames,
    painter: FramePainter,
  ) {
    this.#kernel = new PlaneKernel(picture, PLANES_IN_FLIGHT);
    this.#encoder = new SegmentEncoder(this.#kernel.layout, settings, path, signal);
    this.#painter = painter;
    this.#clock = clock;
    this.#read = Array.from({ length: PLANES_IN_FLIGHT }, () => Promise.resolve());
  }

  async write(frame: FrameToPaint): Promise<void> {
    const place = this.#written++ % PLANES_IN_FLIGHT;
    await this.#clock.encode(async () => await this.#read[place]);
    const image = this.#painter.pixels(frame);
    const read = this.#encoder.write(this.#clock.composite(() => this.#kernel.convert(image, place)));
    read.catch(ignored('the write that needs its place, or finish, reports it'));
    this.#read[place] = read;
  }

  async finish(): Promise<void> {
    await this.#clock.encode(() => this.#encoder.finish());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#encoder.abandon();
  }
}

/** One file a frame. */
function jpegFolder(
  { renderId, jpegQuality }: Extract<FrameOutput, { kind: 'frames' }>,
  { painter, artifacts }: SinkTools,
): FrameSink {
  return new FramesInFlight(async (frame) => {
    const { frameIndex } = frame;
    const jpeg = await painter.jpeg(frame, jpegQuality);
    const key = artifactKeys.frame(renderId, frameIndex);
    return () => frame.clock.encode(() => artifacts.publish(key, (path) => writeFile(path, jpeg)));
  });
}

/** Each frame is sent to the main thread. */
function liveFrames(
  taskId: number,
  { form }: Extract<FrameOutput, { kind: 'live' }>,
  { painter, toMain }: SinkTools,
): FrameSink {
  return new FramesInFlight(async (frame) => {
    const { frameIndex } = frame;
    const data = form.kind === 'raw' ? painter.pixels(frame).data : await painter.jpeg(frame, form.quality);
    return () => toMain({ type: 'frame', taskId, frameIndex, data }, [data.buffer]);
  });
}

/** Frames being encoded or written at once: enough to keep the encoder's threads busy during the next run. */
const FRAMES_IN_FLIGHT = 4;

/** Encodes several frames at once, and puts them where they belong in their order. */
class FramesInFlight implements FrameSink {
  readonly #encode: (frame: FrameToPaint) => Promise<() => Promise<void> | void>;
  readonly #inFlight: Promise<void>[] = [];
  #last: Promise<void> = Promise.resolve();

  /** @param encode paints and encodes a frame; what it returns puts the frame where it belongs. */
  constructor(encode: (frame: FrameToPaint) => Promise<() => Promise<void> | void>) {
    this.#encode = encode;
  }

  async write(frame: FrameToPaint): Promise<void> {
    const before = this.#last;
    const encoded = this.#encode(frame);
    const written = before.then(async () => await (await encoded)());
    encoded.catch(ignored('the write or finish that waits for this frame reports it'));
    written.catch(ignored('the write or finish that waits for this frame reports it'));
    this.#last = written;
    this.#inFlight.push(written);
    if (this.#inFlight.length >= FRAMES_IN_FLIGHT) await this.#inFlight.shift();
  }

  async finish(): Promise<void> {
    await Promise.all(this.#inFlight.splice(0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#inFlight);
  }
}
