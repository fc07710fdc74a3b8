import { encodeJpeg } from '../media/jpeg.ts';
import { compositeFrame } from '../pipeline/pipeline.ts';
import type { FrameParts } from './compositor-protocol.ts';
import type { FinishClock } from './finish-clock.ts';

/** A frame that is to be put together, in memory that others wait for. */
export interface FrameToPaint extends FrameParts {
  /** Told once the mouth has been read. */
  readonly release: () => void;
  readonly clock: FinishClock;
}

/** Puts mouths into their pictures, in each of the forms in which frames leave the worker. One a thread. */
export class FramePainter {
  /** The frame's pixels, the caller's own. */
  pixels({ mouth, size, picture: { background, rect, crop }, release, clock }: FrameToPaint): Uint8Array<ArrayBuffer> {
    const pixels = new Uint8Array(background.data.length);
    clock.composite(() => compositeFrame(mouth, size, crop, background, rect, pixels));
    release();
    return pixels;
  }

  /** The frame as JPEG, the caller's own. */
  async jpeg(frame: FrameToPaint, quality: number): Promise<Uint8Array<ArrayBuffer>> {
    const { width, height } = frame.picture.background;
    const image = { width, height, data: this.pixels(frame) };
    // A copy, since sharp's own memory cannot be handed over to another thread.
    return await frame.clock.encode(async () => new Uint8Array(await encodeJpeg(image, quality)));
  }
}
