import type { BackgroundMode } from '../shared/background-mode.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import type { Connection } from './connection.ts';
import { parseJson } from './json.ts';
import { LiveInbox } from './live-inbox.ts';
import { controlSchema, frameOf, type LiveMessage } from './live-messages.ts';
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
  /** How the pictures are walked over; default: as the farm's model says. */
  readonly backgroundMode?: BackgroundMode;
  /** Frames a second; default: as the farm's model says. */
  readonly fps?: 20 | 25;
  /** Whether the mouth is closed and still in silence; default: as the farm's model says. */
  readonly silenceGate?: boolean;
  /** SKIP: leave late frames out. */
  readonly catchUp?: 'KEEP' | 'SKIP';
  readonly fillGapsAfterMs?: number;
  /** Frames that may wait here until they are read, default 64 MiB of them. */
  readonly mostUnreadBytes?: number;
}

/** Pieces of sound, well below the 1 MiB that the farm takes in one message. */
const PIECE_BYTES = 65_536;
/** Sound that may wait here for the network. */
const MOST_BUFFERED_BYTES = 262_144;
const LOOK_EVERY_MS = 10;
const MOST_UNREAD_BYTES = 64 * 2 ** 20;
/** So many times as much is the end of the session: of frames that the farm fills gaps with, say. */
const UNREAD_AT_THE_END = 4;
/** How long `send` waits for somebody who reads. */
const READ_WITHIN_MS = 60_000;

/** Iterate over it for what the farm sends: `for await (const message of session)`. A refusal is thrown there. */
export class LiveSession implements AsyncIterable<LiveMessage> {
  readonly #socket: WebSocket;
  readonly #inbox: LiveInbox;
  readonly #mostUnreadBytes: number;
  /** Undefined until somebody reads. */
  #readAtMs: number | undefined;
  #fault: unknown;
  #isOver = false;
  #changed = Promise.withResolvers<void>();

  private constructor(socket: WebSocket, { mostUnreadBytes = MOST_UNREAD_BYTES, catchUp }: LiveOptions) {
    this.#socket = socket;
    this.#mostUnreadBytes = mostUnreadBytes;
    this.#inbox = new LiveInbox(mostUnreadBytes, catchUp === 'SKIP');
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
    const session = new LiveSession(socket, options);
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
      background_mode: options.backgroundMode?.toUpperCase().replace('-', '_'),
      fps: options.fps,
      silence_gate: options.silenceGate === undefined ? undefined : options.silenceGate ? 'GATE_ON' : 'GATE_OFF',
      catch_up: options.catchUp,
      fill_gaps_after_ms: options.fillGapsAfterMs,
    });
    return session;
  }

  /**
   * Sends the next mono sound, of any length; resolves when there is room for more: on the network, and here for its
   * frames. FarmError('frames_unread') when there is no room because nobody reads them.
   */
  async send(sound: Float32Array | Int16Array | Uint8Array): Promise<void> {
    const bytes = new Uint8Array(sound.buffer, sound.byteOffset, sound.byteLength);
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      await this.#room();
      // What ended the session is thrown to whoever reads it.
      if (this.#isOver) return;
      this.#socket.send(bytes.slice(at, at + PIECE_BYTES));
    }
  }

  async #room(): Promise<void> {
    const beganMs = performance.now();
    while (!this.#isOver && (this.#inbox.isFull || this.#socket.bufferedAmount > MOST_BUFFERED_BYTES)) {
      const readAtMs = this.#readAtMs && Math.max(this.#readAtMs, beganMs);
      const isRead = readAtMs !== undefined && performance.now() - readAtMs < READ_WITHIN_MS;
      if (this.#inbox.isFull && !isRead) throw this.#unread();
      await wait(LOOK_EVERY_MS);
    }
  }

  #unread(): FarmError {
    return new FarmError('frames_unread', `${Math.round(this.#inbox.bytes / 2 ** 20)} MiB of frames came unread`);
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
      this.#readAtMs = performance.now();
      const message = this.#inbox.take();
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
      this.#inbox.put(frameOf(data));
      this.#wake();
      if (this.#inbox.bytes <= UNREAD_AT_THE_END * this.#mostUnreadBytes) return;
      this.#end(this.#unread());
      this.#socket.close();
      return;
    }
    const { data: control } = controlSchema.safeParse(parseJson(data));
    // A later version of the farm may say more.
    if (!control) return;
    if (control.type === 'error') {
      this.#end(FarmError.fromReport(control.error));
      return;
    }
    this.#inbox.put(control);
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
