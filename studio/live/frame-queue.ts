import type { LiveFrame } from './live-socket.ts';

/** Pictures that are decoded ahead: one of 720p takes 3.7 MB. */
const DECODED_AHEAD = 4;
/** Half of what a screen takes from a drawing to its light. */
const AHEAD_MS = 8;
const KEPT_OFFSETS = 500;

export interface LiveFigures {
  readonly shown: number;
  /** Frames that came too late to be drawn, or were left out by the farm. */
  readonly dropped: number;
  /** How much later than its sound each of the last frames was drawn, in ms; negative: earlier. */
  readonly offsetsMs: readonly number[];
}

interface Waiting {
  readonly frame: LiveFrame;
  decoding?: Promise<void>;
  bitmap?: ImageBitmap;
}

/** Frames on their way to a canvas: each is drawn when its sound is heard, or dropped when a later one is due. */
export class FrameQueue {
  readonly #canvas: HTMLCanvasElement;
  readonly #heardMs: () => number | undefined;
  #waiting: Waiting[] = [];
  #request = 0;
  #shown = 0;
  #dropped = 0;
  #offsetsMs: number[] = [];

  /** @param heardMs position of the sound that is heard now. */
  constructor(canvas: HTMLCanvasElement, heardMs: () => number | undefined) {
    this.#canvas = canvas;
    this.#heardMs = heardMs;
    this.#request = requestAnimationFrame(() => this.#draw());
  }

  get figures(): LiveFigures {
    return { shown: this.#shown, dropped: this.#dropped, offsetsMs: [...this.#offsetsMs] };
  }

  push(frame: LiveFrame): void {
    this.#dropped += frame.skippedFrames;
    this.#waiting.push({ frame });
    this.#decodeAhead();
  }

  clear(): void {
    for (const { bitmap } of this.#waiting.splice(0)) bitmap?.close();
  }

  stop(): void {
    cancelAnimationFrame(this.#request);
    this.clear();
  }

  #draw(): void {
    this.#request = requestAnimationFrame(() => this.#draw());
    const heardMs = this.#heardMs();
    if (heardMs === undefined) return;
    let due: Waiting | undefined;
    while ((this.#waiting[0]?.frame.timeMs ?? Number.POSITIVE_INFINITY) <= heardMs + AHEAD_MS) {
      if (due) this.#drop(due);
      due = this.#waiting.shift();
    }
    this.#decodeAhead();
    if (!due) return;
    if (due.bitmap) this.#show(due.bitmap, heardMs - due.frame.timeMs);
    else this.#drop(due);
  }

  #show(bitmap: ImageBitmap, offsetMs: number): void {
    const canvas = this.#canvas;
    if (canvas.width !== bitmap.width) canvas.width = bitmap.width;
    if (canvas.height !== bitmap.height) canvas.height = bitmap.height;
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
    bitmap.close();
    this.#shown++;
    this.#offsetsMs.push(offsetMs);
    if (this.#offsetsMs.length > KEPT_OFFSETS) this.#offsetsMs.shift();
  }

  #drop({ bitmap }: Waiting): void {
    bitmap?.close();
    this.#dropped++;
  }

  #decodeAhead(): void {
    for (const waiting of this.#waiting.slice(0, DECODED_AHEAD)) waiting.decoding ??= this.#decode(waiting);
  }

  async #decode(waiting: Waiting): Promise<void> {
    let bitmap: ImageBitmap;
    try {
      bitmap = await createImageBitmap(waiting.frame.picture);
    } catch {
      return; // A picture that cannot be decoded is never ready, and so dropped when it is due.
    }
    if (this.#waiting.includes(waiting)) waiting.bitmap = bitmap;
    else bitmap.close();
  }
}
