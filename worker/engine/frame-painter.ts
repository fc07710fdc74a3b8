import { FarmError } from '../../shared/errors/farm-error.ts';
import type { FrameMemory } from '../../shared/process/spare-memory.ts';
import { Compositor } from '../compositor/compositor.ts';
import { planeLayout } from '../compositor/planes.ts';
import { encodeJpeg } from '../media/jpeg.ts';
import { encodePng } from '../media/png.ts';
import type { RgbImage } from '../pipeline/contract.ts';
import { onSquares } from '../quality/checkered.ts';
import type { FrameParts } from './compositor-protocol.ts';
import type { FinishClock } from './finish-clock.ts';

/** A frame that is to be put together, in memory that others wait for. */
export interface FrameToPaint extends FrameParts {
  /** Told once the memory of its parts is not read any more. */
  readonly release: () => void;
  readonly clock: FinishClock;
}

/** Puts mouths into their pictures, in each of the forms in which frames leave the worker. One a thread. */
export class FramePainter {
  readonly #compositor = new Compositor();
  readonly #memory: FrameMemory;
  readonly #take = (byteLength: number) => this.#memory.take(byteLength);

  /** @param memory that frames are written to; give it back there. */
  constructor(memory: FrameMemory) {
    this.#memory = memory;
  }

  /** The frame's pixels, the caller's own. It must have come with its background. */
  pixels(frame: FrameToPaint): RgbImage & { data: Uint8Array<ArrayBuffer> } {
    return readOnce(frame, ({ mouth, picture, background }) => {
      if (!background) throw new FarmError('internal', 'A frame that is to become pixels came without its background');
      const { width, height } = background;
      const data = this.#memory.take(background.data.length);
      this.#compositor.pixels(background, picture, mouth, data);
      return { width, height, data };
    });
  }

  /**
   * The frame as PNG, with the alpha that it came with, if it did. It must have come with its background.
   * @returns bytes that sharp has made.
   */
  async png(frame: FrameToPaint): Promise<Uint8Array> {
    const { alpha } = frame;
    // The frame's memory is let go with the pixels.
    const kept = alpha?.slice();
    const image = this.pixels(frame);
    const png = await frame.clock.encode(() => encodePng(image, kept));
    this.#memory.giveBack(image.data.buffer);
    return png;
  }

  /**
   * The frame as planes of YUV 4:2:0, and that of alpha behind them if it came so. It must have come with its
   * background's: these become the frame's, so the caller lets its memory go.
   */
  planes({ mouth, picture, planes, clock }: FrameToPaint): Uint8Array {
    if (!planes) throw new FarmError('internal', 'A frame of a video came without the planes of its background');
    const yuv = planes.subarray(0, planeLayout(picture).byteLength);
    clock.composite(() => this.#compositor.planes(picture, mouth, yuv));
    return planes;
  }

  /**
   * The frame as JPEG, the caller's own. One of the quality that its picture was prepared for is made by encoding the
   * mouth's area alone; for another the frame must have come with its background.
   */
  async jpeg(frame: FrameToPaint, quality: number): Promise<Uint8Array<ArrayBuffer>> {
    if (quality === frame.picture.quality) return this.preparedJpeg(frame);
    const image = this.pixels(frame);
    const jpeg = await frame.clock.encode(() => encodeJpeg(image, quality));
    this.#memory.giveBack(image.data.buffer);
    // A copy, since sharp's own memory cannot be handed over to another thread.
    const copy = this.#memory.take(jpeg.length);
    copy.set(jpeg);
    return copy;
  }

  /**
   * The frame as a JPEG to look at, the caller's own: one that keeps its alpha is seen in front of squares. Its parts are
   * read before this returns.
   */
  async shown(frame: FrameToPaint): Promise<Uint8Array<ArrayBuffer>> {
    const alpha = alphaOf(frame)?.slice();
    const jpeg = this.preparedJpeg({ ...frame, release: () => {} });
    if (alpha === undefined) return jpeg;
    const seen = await frame.clock.encode(() => onSquares(jpeg, alpha, frame.picture.quality));
    this.#memory.giveBack(jpeg.buffer);
    return seen;
  }

  /** The frame as JPEG of the quality that its picture was prepared for, the caller's own. */
  preparedJpeg(frame: FrameToPaint): Uint8Array<ArrayBuffer> {
    return readOnce(frame, ({ mouth, picture }) =>
      this.#compositor.jpeg(picture, mouth, this.#take),
    ) as Uint8Array<ArrayBuffer>;
  }
}

/** What an output that keeps alpha has brought of it. */
function alphaOf({ alpha, planes, picture }: FrameToPaint): Uint8Array | undefined {
  const { byteLength } = planeLayout(picture);
  return alpha ?? (planes && planes.length > byteLength ? planes.subarray(byteLength) : undefined);
}

/** Paints a frame, counts that, and lets its memory go in any case. */
function readOnce<T>(frame: FrameToPaint, paint: (frame: FrameToPaint) => T): T {
  try {
    return frame.clock.composite(() => paint(frame));
  } finally {
    frame.release();
  }
}
