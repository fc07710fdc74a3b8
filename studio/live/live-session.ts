/**
 * A talking face on a canvas: sound goes to the farm over the WebSocket /v1/live, frames come back and are drawn in step
 * with the sound as it is heard. No dependencies; pages of other origins may import it, too (docs/realtime.md).
 */

import { FrameQueue, type LiveFigures } from './frame-queue.ts';
import { LiveSocket, type SocketOptions } from './live-socket.ts';

export interface LiveOptions extends SocketOptions {
  readonly canvas: HTMLCanvasElement;
  /** What ended the session that was not to end. */
  readonly onError?: (error: Error) => void;
}

const TICK_MS = 40;
/** How far ahead of what is heard sound is sent, and silence, behind which the next sound has to wait. */
const SOUND_LEAD_S = 2;
const SILENCE_LEAD_S = 0.8;
/** From the first frame to its sound: frames that come unevenly have so long to catch up. */
const BUFFER_S = 0.2;
const MOST_HZ = 48_000;

export class LiveSession {
  readonly #context: AudioContext;
  readonly #socket: LiveSocket;
  readonly #frames: FrameQueue;
  readonly #ticks: ReturnType<typeof setInterval>;
  /** Sound that was not sent, and where in it the next samples lie. */
  #sound: Float32Array[] = [];
  #sources: { readonly node: AudioBufferSourceNode; readonly atS: number }[] = [];
  #microphone: MediaStream | undefined;
  #sentSamples = 0;
  /** When the beginning of the stream's sound is heard, on the clock of the AudioContext; undefined until frames come. */
  #zeroS: number | undefined;
  /** Where the sound begins that is heard next. */
  #beginS = 0;
  #interruption: PromiseWithResolvers<number> | undefined;
  #monitor: DelayNode | undefined;
  /** When the sound of the stream's beginning was captured; undefined while that is to be measured. */
  #capturedFromS: number | undefined;

  private constructor(context: AudioContext, socket: LiveSocket, { canvas, onError }: LiveOptions) {
    this.#context = context;
    this.#socket = socket;
    this.#frames = new FrameQueue(canvas, () => this.#heardMs());
    socket.onFrame = (frame) => this.#take(frame.timeMs, () => this.#frames.push(frame));
    socket.onInterrupted = (frameIndex) => this.#cutAt(frameIndex);
    socket.onClosed = (error) => {
      this.#stop();
      if (error) onError?.(error);
    };
    this.#ticks = setInterval(() => this.#feed(), TICK_MS);
  }

  /** Opens a session. Call it from a click: without one a browser plays no sound. Rejects with what the farm says. */
  static async open(options: LiveOptions): Promise<LiveSession> {
    let context = new AudioContext();
    if (context.sampleRate > MOST_HZ) {
      await context.close();
      context = new AudioContext({ sampleRate: MOST_HZ });
    }
    try {
      await context.resume();
      const socket = await LiveSocket.open(options, context.sampleRate);
      return new LiveSession(context, socket, options);
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  /** Says a sound file after what is being said. Resolves when it has been heard, or was interrupted. */
  async play(file: Blob): Promise<void> {
    const buffer = await this.#context.decodeAudioData(await file.arrayBuffer());
    const node = new AudioBufferSourceNode(this.#context, { buffer });
    node.connect(this.#context.destination);
    const waiting = this.#sound.reduce((sum, { length }) => sum + length, 0);
    const source = { node, atS: (this.#sentSamples + waiting) / this.#context.sampleRate };
    this.#sound.push(toMono(buffer));
    this.#sources.push(source);
    const ended = new Promise<void>((resolve) => node.addEventListener('ended', () => resolve(), { once: true }));
    if (this.#zeroS !== undefined) node.start(this.#zeroS + source.atS);
    await ended;
    this.#sources = this.#sources.filter((other) => other !== source);
  }

  /**
   * Has the face say what the microphone hears, until the session is closed or interrupted.
   * @param monitor play it, too, as late as the face is: for headphones.
   */
  async listen({ monitor = false } = {}): Promise<void> {
    this.#microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
    await this.#context.audioWorklet.addModule(new URL('./microphone.worklet.ts', import.meta.url));
    const source = this.#context.createMediaStreamSource(this.#microphone);
    const capture = new AudioWorkletNode(this.#context, 'capture', { numberOfOutputs: 0 });
    source.connect(capture);
    capture.port.onmessage = ({ data }: MessageEvent<{ samples: Float32Array; atS: number }>) => {
      if (this.#interruption) return;
      this.#capturedFromS ??= data.atS - this.#sentSamples / this.#context.sampleRate;
      this.#send(data.samples);
      this.#setMonitor();
    };
    if (!monitor) return;
    this.#monitor = new DelayNode(this.#context, { maxDelayTime: 10 });
    source.connect(this.#monitor).connect(this.#context.destination);
    this.#setMonitor();
  }

  /** Falls silent at once. Resolves with the frame at which the farm stopped; the next sound begins with it. */
  async interrupt(): Promise<number> {
    this.#sound = [];
    for (const { node } of this.#sources.splice(0)) endNow(node);
    this.#frames.clear();
    this.#zeroS = undefined;
    if (!this.#interruption) {
      this.#interruption = Promise.withResolvers();
      this.#socket.interrupt();
    }
    return await this.#interruption.promise;
  }

  /** How well picture and sound keep together. */
  get figures(): LiveFigures {
    return this.#frames.figures;
  }

  async close(): Promise<void> {
    this.#socket.close();
    this.#stop();
    if (this.#context.state !== 'closed') await this.#context.close();
  }

  #stop(): void {
    clearInterval(this.#ticks);
    this.#frames.stop();
    this.#interruption?.reject(new Error('The session has ended'));
    for (const { node } of this.#sources.splice(0)) endNow(node);
    for (const track of this.#microphone?.getTracks() ?? []) track.stop();
  }

  /** The clock begins with the first frame. */
  #take(timeMs: number, push: () => void): void {
    if (this.#interruption) return;
    push();
    if (this.#zeroS !== undefined) return;
    this.#zeroS = this.#context.currentTime + BUFFER_S - timeMs / 1000;
    for (const { node, atS } of this.#sources) node.start(this.#zeroS + atS);
    this.#setMonitor();
  }

  #setMonitor(): void {
    if (!this.#monitor || this.#zeroS === undefined || this.#capturedFromS === undefined) return;
    this.#monitor.delayTime.value = Math.max(0, this.#zeroS - this.#capturedFromS);
  }

  #cutAt(frameIndex: number): void {
    this.#beginS = frameIndex / this.#socket.framesPerSecond;
    this.#sentSamples = Math.round(this.#beginS * this.#context.sampleRate);
    this.#capturedFromS = undefined;
    this.#interruption?.resolve(frameIndex);
    this.#interruption = undefined;
  }

  /** Position in the sound that comes out of the loudspeaker now, in ms; undefined while there is none. */
  #heardMs(): number | undefined {
    if (this.#zeroS === undefined) return undefined;
    const { currentTime, outputLatency = 0, baseLatency } = this.#context;
    return 1000 * (currentTime - this.#zeroS - (outputLatency || baseLatency));
  }

  /** Sends what is due: sound, or silence, so that the face lives on. */
  #feed(): void {
    if (this.#microphone || this.#interruption) return;
    const heardS = this.#zeroS === undefined ? this.#beginS : this.#context.currentTime - this.#zeroS;
    const chunk = Math.round((this.#context.sampleRate * TICK_MS) / 1000);
    for (;;) {
      const leadS = this.#sound.length > 0 ? SOUND_LEAD_S : SILENCE_LEAD_S;
      if (this.#sentSamples / this.#context.sampleRate >= heardS + leadS) return;
      this.#send(this.#nextOf(chunk));
    }
  }

  #nextOf(count: number): Float32Array {
    const first = this.#sound.shift();
    if (!first) return new Float32Array(count);
    if (first.length > count) this.#sound.unshift(first.subarray(count));
    return first.subarray(0, count);
  }

  #send(samples: Float32Array): void {
    if (this.#interruption) return;
    this.#sentSamples += samples.length;
    this.#socket.send(toInt16(samples));
  }
}

/** One that was never started ends as well. */
function endNow(node: AudioBufferSourceNode): void {
  try {
    node.stop();
  } catch {
    node.dispatchEvent(new Event('ended')); // Not started: the browser refuses to stop it.
  }
}

function toMono(buffer: AudioBuffer): Float32Array {
  const mono = new Float32Array(buffer.length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel);
    for (let at = 0; at < mono.length; at++) mono[at] = (mono[at] ?? 0) + (samples[at] ?? 0) / buffer.numberOfChannels;
  }
  return mono;
}

function toInt16(samples: Float32Array): Int16Array<ArrayBuffer> {
  return Int16Array.from(samples, (sample) => Math.max(-1, Math.min(1, sample)) * 32_767);
}
