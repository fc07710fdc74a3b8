import { writeFile } from 'node:fs/promises';
import { type ArtifactStore, artifactKeys } from '../../shared/artifacts.ts';
import { ignored } from '../../shared/process/unheard.ts';
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

/** A video file, encoded as the frames come. */
export class SegmentVideo implements FrameSink {
  readonly #encoder: SegmentEncoder;

  constructor(picture: { width: number; height: number }, settings: H264Settings, path: string, signal: AbortSignal) {
    this.#encoder = new SegmentEncoder(picture, settings, path, signal);
  }

  async write(frame: RenderedFrame): Promise<void> {
    await this.#encoder.write(frame.image);
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
