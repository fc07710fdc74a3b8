export interface SocketOptions {
  /** Where the farm is, such as "https://farm.example"; without it, where this module came from. */
  readonly farm?: string;
  /** A key of the farm, for pages that are not signed in to it. */
  readonly key?: string;
  /** May be left out when the farm has one model. */
  readonly modelId?: string;
  /** EXACT frames, or early ones. */
  readonly latency?: 'EXACT' | 'LOW';
}

/** A frame as it came: docs/realtime.md describes the message. */
export interface LiveFrame {
  readonly index: number;
  readonly timeMs: number;
  readonly skippedFrames: number;
  readonly picture: Blob;
}

const HEADER_BYTES = 16;

type Told =
  | { readonly type: 'opened'; readonly frames_per_second: number }
  | { readonly type: 'ended' }
  | { readonly type: 'interrupted'; readonly frame_index: number }
  | { readonly type: 'error'; readonly error: { readonly code: string; readonly message: string } };

/** The WebSocket /v1/live of a farm. */
export class LiveSocket {
  readonly #socket: WebSocket;
  onFrame: (frame: LiveFrame) => void = () => {};
  onInterrupted: (frameIndex: number) => void = () => {};
  /** @param error absent when it was closed on purpose. */
  onClosed: (error: Error | undefined) => void = () => {};
  #framesPerSecond = 25;
  #error: Error | undefined;
  #isClosing = false;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** Resolves when the stream is open; rejects with what the farm says. Sound is 16-bit, little-endian. */
  static async open({ farm, key, modelId, latency }: SocketOptions, sampleRateHz: number): Promise<LiveSocket> {
    const url = new URL('/v1/live', farm ?? import.meta.url);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url, ['lipsync.v1', ...(key === undefined ? [] : [`lipsync.key.${base64url(key)}`])]);
    socket.binaryType = 'arraybuffer';
    const live = new LiveSocket(socket);
    const opened = Promise.withResolvers<void>();
    socket.onopen = () => {
      const settings = { model_id: modelId, sample_rate: sampleRateHz, sample_format: 'S16LE', latency };
      socket.send(JSON.stringify({ type: 'open', ...settings, catch_up: 'SKIP' }));
    };
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => live.#take(data, opened.resolve);
    socket.onclose = () => {
      const error = live.#isClosing ? undefined : (live.#error ?? new Error('The connection to the farm was lost'));
      opened.reject(error);
      live.onClosed(error);
    };
    await opened.promise;
    return live;
  }

  /** Of the model that speaks. */
  get framesPerSecond(): number {
    return this.#framesPerSecond;
  }

  send(samples: Int16Array<ArrayBuffer>): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(samples);
  }

  interrupt(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send('{"type":"interrupt"}');
  }

  close(): void {
    this.#isClosing = true;
    this.#socket.close();
  }

  #take(data: string | ArrayBuffer, opened: () => void): void {
    if (typeof data !== 'string') {
      this.onFrame(frameOf(data));
      return;
    }
    const told = JSON.parse(data) as Told;
    if (told.type === 'opened') {
      this.#framesPerSecond = told.frames_per_second;
      opened();
    }
    if (told.type === 'interrupted') this.onInterrupted(told.frame_index);
    if (told.type === 'error') this.#error = Object.assign(new Error(told.error.message), { code: told.error.code });
  }
}

function frameOf(message: ArrayBuffer): LiveFrame {
  const header = new DataView(message);
  const [index, timeMs, skippedFrames] = [0, 4, 8].map((at) => header.getUint32(at, true)) as [number, number, number];
  return { index, timeMs, skippedFrames, picture: new Blob([message.slice(HEADER_BYTES)], { type: 'image/jpeg' }) };
}

function base64url(text: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}
