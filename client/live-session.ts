import { z } from 'zod';
import { FarmError } from '../shared/errors.ts';
import { errorReportSchema } from '../shared/renders/record.ts';
import type { Connection } from './connection.ts';
import { parseJson } from './json.ts';
import { wait } from './wait.ts';

/** A live stream: sound goes up, frames come down while it is still coming. docs/realtime.md describes both. */

export interface LiveOptions {
  /** Needed when the farm has several models. */
  readonly modelId?: string;
  /** Samples a second of the sound, 8000 to 48000; default 16000. */
  readonly sampleRate?: number;
  /** What `send` is given; default F32LE, that of a Float32Array. */
  readonly sampleFormat?: 'F32LE' | 'S16LE';
  readonly jpegQuality?: number;
  /** RAW: RGB, 3 bytes a pixel. */
  readonly output?: 'JPEG' | 'RAW';
  /** LOW: frames wait for less of the sound ahead of them. */
  readonly latency?: 'EXACT' | 'LOW';
  /** Position of frame 0 in the avatar's pictures. */
  readonly startFrame?: number;
  /** SKIP: leave late frames out. */
  readonly catchUp?: 'KEEP' | 'SKIP';
  readonly fillGapsAfterMs?: number;
}

export interface LiveFrame {
  readonly type: 'frame';
  readonly index: number;
  /** When to show it, on the clock of the sound. */
  readonly timeMs: number;
  /** Frames right before it that were left out. */
  readonly skipped: number;
  /** From when its sound was complete until it left the farm. */
  readonly latencyMs: number;
  readonly data: Uint8Array;
}

const controlSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('opened'),
    algorithmic_latency_ms: z.number(),
    sample_rate: z.int(),
    frames_per_second: z.int(),
  }),
  z.object({ type: z.literal('interrupted'), frame_index: z.int() }),
  z.object({ type: z.literal('ended'), frame_count: z.int(), skipped_frames: z.int() }),
  z.object({ type: z.literal('error'), error: errorReportSchema }),
]);
type Control = z.infer<typeof controlSchema>;
/** In the order in which the farm sends them; `ended` is the last one. */
export type LiveMessage = LiveFrame | Exclude<Control, { type: 'error' }>;

const HEADER_BYTES = 16;
/** Pieces of sound, well below the 1 MiB that the farm takes in one message. */
const PIECE_BYTES = 65_536;
/** Sound that may wait here for the network. */
const MOST_BUFFERED_BYTES = 262_144;
const LOOK_EVERY_MS = 10;

/** Iterate over it for what the farm sends: `for await (const message of session)`. A refusal is thrown there. */
export class LiveSession implements AsyncIterable<LiveMessage> {
  readonly #socket: WebSocket;
  readonly #waiting: LiveMessage[] = [];
  #fault: unknown;
  #isOver = false;
  #changed = Promise.withResolvers<void>();

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', ({ data }) => this.#take(data as string | ArrayBuffer));
    socket.addEventListener('close', () => {
      if (!this.#isOver) this.#end(new FarmError('farm_unreachable', 'The live session broke off'));
    });
  }

  /** Resolves to an open session. FarmError: what the farm refuses, farm_unreachable. */
  static async open(connection: Connection, apiKey: string | undefined, options: LiveOptions): Promise<LiveSession> {
    const route = '/v1/live';
    const socket = new WebSocket(`${connection.url.replace(/^http/, 'ws')}${route}`, protocolsFor(apiKey));
    const session = new LiveSession(socket);
    const opened = await new Promise<boolean>((resolve) => {
      socket.addEventListener('open', () => resolve(true), { once: true });
      socket.addEventListener('error', () => resolve(false), { once: true });
    });
    if (!opened) throw await reasonOf(connection, route);
    session.#say({
      type: 'open',
      model_id: options.modelId,
      sample_rate: options.sampleRate,
      sample_format: options.sampleFormat,
      jpeg_quality: options.jpegQuality,
      output: options.output,
      latency: options.latency,
      start_frame_idx: options.startFrame,
      catch_up: options.catchUp,
      fill_gaps_after_ms: options.fillGapsAfterMs,
    });
    return session;
  }

  /** Sends the next mono sound, of any length; resolves when there is room for more. */
  async send(sound: Float32Array | Int16Array | Uint8Array): Promise<void> {
    const bytes = new Uint8Array(sound.buffer, sound.byteOffset, sound.byteLength);
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      while (!this.#isOver && this.#socket.bufferedAmount > MOST_BUFFERED_BYTES) await wait(LOOK_EVERY_MS);
      // What ended the session is thrown to whoever reads it.
      if (this.#isOver) return;
      this.#socket.send(bytes.slice(at, at + PIECE_BYTES));
    }
  }

  /** Drops the sound whose frames were not sent yet; `interrupted` says at which frame the stream goes on. */
  interrupt(): void {
    this.#say({ type: 'interrupt' });
  }

  /** No more sound comes: the rest of the frames follow, then `ended`. */
  end(): void {
    this.#say({ type: 'end' });
  }

  /** Leaves at once. */
  close(): void {
    this.#end(undefined);
    this.#socket.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LiveMessage> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message) yield message;
      else if (this.#fault) throw this.#fault;
      else if (this.#isOver) return;
      else await this.#changed.promise;
    }
  }

  #say(message: object): void {
    if (!this.#isOver) this.#socket.send(JSON.stringify(message));
  }

  #take(data: string | ArrayBuffer): void {
    if (typeof data !== 'string') {
      this.#waiting.push(frameOf(data));
      this.#wake();
      return;
    }
    const { data: control } = controlSchema.safeParse(parseJson(data));
    // A later version of the farm may say more.
    if (!control) return;
    if (control.type === 'error') {
      this.#end(FarmError.fromReport(control.error));
      return;
    }
    this.#waiting.push(control);
    if (control.type === 'ended') this.#end(undefined);
    this.#wake();
  }

  #end(fault: unknown): void {
    this.#isOver = true;
    this.#fault ??= fault;
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/** A page can set no header on a WebSocket, so the key goes as a subprotocol, in base64url. */
function protocolsFor(apiKey: string | undefined): string[] {
  if (!apiKey) return ['lipsync.v1'];
  const bytes = new TextEncoder().encode(apiKey);
  const base64 = btoa(String.fromCharCode(...bytes));
  return ['lipsync.v1', `lipsync.key.${base64.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')}`];
}

/** A WebSocket that is refused does not say why; an ordinary request for the same address does. */
async function reasonOf(connection: Connection, route: string): Promise<unknown> {
  const error = await connection.request(route).catch((thrown: unknown) => thrown);
  const isReason = error instanceof FarmError && error.code !== 'upgrade_required';
  return isReason ? error : new FarmError('farm_unreachable', `${connection.url} opens no WebSocket for ${route}`);
}

function frameOf(message: ArrayBuffer): LiveFrame {
  const view = new DataView(message);
  return {
    type: 'frame',
    index: view.getUint32(0, true),
    timeMs: view.getUint32(4, true),
    skipped: view.getUint32(8, true),
    latencyMs: view.getFloat32(12, true),
    data: new Uint8Array(message, HEADER_BYTES),
  };
}
