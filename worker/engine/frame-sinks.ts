import { writeFile } from 'node:fs/promises';
import { type ArtifactStore, artifactKeys } from '../../shared/artifacts.ts';
import { ignored } from '../../shared/process/unheard.ts';
import type { PictureSize } from '../compositor/contract.ts';
import { PlaneKernel } from '../compositor/plane-kernel.ts';
import { type H264Settings, SegmentEncoder } from '../media/encode-segment.ts';
import { encodeJpeg } from '../media/jpeg.ts';
import type { RenderedFrame } from '../pipeline/render-frames.ts';

/** Where finished frames go. */
export interface FrameSink extends AsyncDisposable {
  /** Takes a frame; waits while too many frames are being encoded or written. */
  write(frame: RenderedFrame): Promise<void>;
  /** Resolves when every frame that was passed to `write` is on disk. */
  finish(): Promise<void>;
}

/** Frames that ffmpeg may have on its way: one that it reads, and others that wait while the network runs. */
const PLANES_IN_FLIGHT = 4;

/** A video file, encoded as the frames come. */
export class SegmentVideo implements FrameSink {
  readonly #encoder: SegmentEncoder;
  readonly #kernel: PlaneKernel;
  /** Resolves when the planes in that place have been read. */
  readonly #read: Promise<void>[];
  #written = 0;

  constructor(picture: PictureSize, settings: H264Settings, path: string, signal: AbortSignal) {
    this.#kernel = new PlaneKernel(picture, PLANES_IN_FLIGHT);
    this.#encoder = new SegmentEncoder(this.#kernel.layout, settings, path, signal);
    this.#read = Array.from({ length: PLANES_IN_FLIGHT }, () => Promise.resolve());
  }

  async write(frame: RenderedFrame): Promise<void> {
    const place = this.#written++ % PLANES_IN_FLIGHT;
    await this.#read[place];
    const read = this.#encoder.write(this.#kernel.convert(frame.image, place));
    read.catch(ignored('the write that needs its place, or finish, reports it'));
    this.#read[place] = read;
  }

  async finish(): Promise<void> {
    await this.#encoder.finish();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#encoder.abandon();
  }
}

/** JPEG files being encoded or written at once: enough to keep the encoder's threads busy during the next batch. */
const FRAMES_IN_FLIGHT = 4;

/** One JPEG file a frame. */
export class JpegFolder implements FrameSink {
  readonly #renderId: string;
  readonly #quality: number;
  readonly #artifacts: ArtifactStore;
  readonly #inFlight: Promise<void>[] = [];

  constructor(renderId: string, quality: number, artifacts: ArtifactStore) {
    this.#renderId = renderId;
    this.#quality = quality;
    this.#artifacts = artifacts;
  }

  async write(frame: RenderedFrame): Promise<void> {
    const saved = this.#save(frame);
    saved.catch(ignored('the write or finish that waits for it reports it'));
    this.#inFlight.push(saved);
    if (this.#inFlight.length >= FRAMES_IN_FLIGHT) await this.#inFlight.shift();
  }

  async finish(): Promise<void> {
    await Promise.all(this.#inFlight.splice(0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#inFlight);
  }

  async #save({ frameIndex, image }: RenderedFrame): Promise<void> {
    const jpeg = await encodeJpeg(image, this.#quality);
    await this.#artifacts.publish(artifactKeys.frame(this.#renderId, frameIndex), (path) => writeFile(path, jpeg));
  }
}
