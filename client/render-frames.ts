import { FarmError } from '../shared/errors/farm-error.ts';
import { isVideo } from '../shared/renders/outputs.ts';
import { isTerminal } from '../shared/renders/record.ts';
import { type RenderView, renderViewSchema } from '../shared/views/render-view.ts';
import type { Connection } from './connection.ts';
import { type Patience, patiently } from './patience.ts';
import { wait } from './wait.ts';

/** A frame of a render that is watched. */
export interface RenderFrame {
  readonly index: number;
  /** JPEG; PNG of a completed render to PNG frames. */
  readonly data: Uint8Array;
}

export interface RenderFramesOptions {
  /** The first frame to show; behind the last one that came it goes on where it was. */
  readonly from?: number;
  /** Ends the stream: the loop then ends with the signal's reason. */
  readonly signal?: AbortSignal;
  /** How long to try again when the farm does not answer; default one minute. */
  readonly patienceMs?: number;
}

const TRY_AGAIN_FOR_MS = 60_000;
/** Between the end of a connection and the next one. */
const RECONNECT_AFTER_MS = 250;

/** The frames of a render until it has ended. A connection that breaks is opened again behind the last frame. */
export async function* renderFrames(
  connection: Connection,
  path: string,
  { from, signal, patienceMs: forMs = TRY_AGAIN_FOR_MS }: RenderFramesOptions,
): AsyncGenerator<RenderFrame> {
  const patience: Patience = { forMs, ...(signal ? { signal } : {}) };
  let next = from;
  for (let isFirst = true; ; isFirst = false) {
    const route = `${path}/preview?as=mjpeg${next === undefined ? '' : `&from=${next}`}`;
    try {
      const asking = () => connection.request(route, { signal: signal ?? null });
      const response = await patiently(asking, patience);
      for await (const frame of framesOf(connection.chunks(response, signal))) {
        yield frame;
        next = frame.index + 1;
      }
    } catch (error) {
      if (!(error instanceof FarmError)) throw error;
      // It became a video meanwhile.
      if (error.code === 'output_not_kept' && !isFirst) return;
      if (error.code !== 'farm_unreachable') throw error;
    }
    // A front end that stops ends the stream as if the render had ended.
    const view = await patiently(() => connection.read(renderViewSchema, path), patience);
    if (hasAll(view, next ?? 0)) return;
    await wait(RECONNECT_AFTER_MS, signal);
  }
}

function hasAll({ status, output, frames, range }: RenderView, next: number): boolean {
  if (isVideo(output) || status !== 'completed') return isTerminal(status);
  return next >= (range?.from ?? 0) + frames.done;
}

/** The parts of a `multipart/x-mixed-replace` as the farm sends it: each has its length and the number of its frame. */
export async function* framesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<RenderFrame> {
  const body = new Bytes(chunks);
  for (;;) {
    // "\r\n" behind the boundary: another part; "--": the end.
    const boundary = await body.until('\r\n');
    if (boundary === undefined || boundary.endsWith('--')) return;
    const head = await body.until('\r\n\r\n');
    if (head === undefined) return;
    const field = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'im').exec(head)?.[1]);
    const [length, index] = [field('content-length'), field('x-frame-index')];
    if (Number.isNaN(length + index)) throw new FarmError('answer_unexpected', `A frame came without its number`);
    const data = await body.take(length);
    if (data === undefined) return;
    yield { index, data };
    await body.until('\r\n');
  }
}

/** Bytes that come in pieces of any size. */
class Bytes {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** Text up to a mark, which is read as well; undefined when the body ends before. */
  async until(mark: string): Promise<string | undefined> {
    for (;;) {
      const text = new TextDecoder('latin1').decode(this.#held.subarray(0, LONGEST_HEAD));
      const at = text.indexOf(mark);
      if (at >= 0) {
        this.#held = this.#held.subarray(at + mark.length);
        return text.slice(0, at);
      }
      if (this.#held.length >= LONGEST_HEAD) throw new FarmError('answer_unexpected', 'A frame came without its head');
      if (!(await this.#more())) return undefined;
    }
  }

  async take(length: number): Promise<Uint8Array | undefined> {
    while (this.#held.length < length) if (!(await this.#more())) return undefined;
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.subarray(length);
    return taken;
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#chunks.next();
    if (done) return false;
    const joined = new Uint8Array(this.#held.length + value.length);
    joined.set(this.#held);
    joined.set(value, this.#held.length);
    this.#held = joined;
    return true;
  }
}

const LONGEST_HEAD = 1000;
