import { randomBytes } from 'node:crypto';
import { ALL_ROWS_AHEAD, algorithmicLatencyMs } from '../shared/audio-context.ts';
import { FarmError } from '../shared/errors.ts';
import type { LiveFrame, LiveRequests, LiveWork } from './live-request.ts';
import { LiveSound } from './live-sound.ts';
import type { StreamPlace } from './stream-admission.ts';

export interface StreamOptions {
  readonly modelId: string;
  /** 8000 … 48 000. */
  readonly sampleRateHz: number;
  readonly startFrameIndex: number;
  readonly output: 'jpeg' | 'raw';
  readonly jpegQuality: number;
  /** 'exact': frames equal those of a whole render. 'low': less of the sound ahead of a frame is waited for. */
  readonly latency: 'exact' | 'low';
  /** When no sound comes for this long, silence is put in so that the face stays alive; 0: never. */
  readonly fillGapsAfterMs: number;
}

export interface StreamedFrame extends LiveFrame {
  /** Presentation time on the stream's own clock: frameIndex × 40 ms. */
  readonly timeMs: number;
  /** From the moment its sound was complete to the moment it was handed out. */
  readonly latencyMs: number;
}

const FRAME_MS = 40;
const SAMPLES_PER_MS = 16;
/** Feature rows ahead in low-latency mode: enough to close the mouth in time for a consonant. */
const LOW_LATENCY_ROWS_AHEAD = 2;
/** Frames asked for at once when the sound comes faster than real time; more would cost more when a worker dies. */
const MICRO_BATCH_FRAMES = 16;
/** Micro-batches on their way at once: one is rendered while the next one waits at the worker. */
const MICRO_BATCHES_IN_FLIGHT = 2;
/** Sound that may wait to be rendered, 5 s; a writer that is further ahead waits. */
const MOST_HELD_SAMPLES = 5 * 1000 * SAMPLES_PER_MS;

/** A micro-batch that is being rendered. */
interface MicroBatch {
  readonly frames: AsyncGenerator<LiveFrame>;
  /** The first frame, asked for at once so that work begins before the reader comes to it. */
  readonly first: Promise<IteratorResult<LiveFrame>>;
  readonly readyAtMs: number;
}

/** One live stream: sound in, frames out in order, each as soon as its sound is complete. */
export class LiveStream {
  readonly #options: StreamOptions;
  readonly #requests: LiveRequests;
  readonly #signal: AbortSignal;
  readonly #place: StreamPlace;
  readonly #rowsAhead: number;
  readonly #sound: LiveSound;
  readonly #inFlight: MicroBatch[] = [];
  readonly #streamId = randomBytes(9).toString('base64url');
  /** The GPU that the stream was given, then the one that made the last frame: it knows what has been heard. */
  #gpuId: number | undefined;
  #ended = false;
  /** First frame that has not been asked for. */
  #nextFrame = 0;
  #writtenAtMs = performance.now();
  #changed = Promise.withResolvers<void>();

  constructor(options: StreamOptions, requests: LiveRequests, place: StreamPlace, signal: AbortSignal) {
    this.#options = options;
    this.#place = place;
    this.#gpuId = place.gpuId;
    this.#requests = requests;
    this.#signal = signal;
    this.#rowsAhead = options.latency === 'low' ? LOW_LATENCY_ROWS_AHEAD : ALL_ROWS_AHEAD;
    this.#sound = new LiveSound(options.sampleRateHz, this.#rowsAhead);
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  /** Time from the beginning of a frame to the end of the sound that it needs. */
  get algorithmicLatencyMs(): number {
    return algorithmicLatencyMs(this.#rowsAhead);
  }

  /** Takes sound in [-1, 1] at the stream's rate; resolves when more may come. */
  async write(samples: Float32Array): Promise<void> {
    if (this.#ended) throw new FarmError('request_invalid', 'Sound came after the end of the stream');
    this.#sound.push(samples);
    this.#writtenAtMs = performance.now();
    this.#wake();
    while (this.#sound.heldSamples > MOST_HELD_SAMPLES && !this.#signal.aborted) await this.#changed.promise;
  }

  /** No more sound will come: the rest of the frames follows, then the end. */
  end(): void {
    this.#ended = true;
    this.#sound.end();
    this.#wake();
  }

  /** The frames in order. More are asked for only while the reader keeps up. */
  async *frames(): AsyncGenerator<StreamedFrame> {
    this.#place.keep(() => this.#gpuId);
    const filler = this.#startFiller();
    const stop = new AbortController();
    const signal = AbortSignal.any([this.#signal, stop.signal]);
    try {
      for (;;) {
        if (this.#signal.aborted) throw new FarmError('request_cancelled', 'The stream was cancelled');
        this.#askForMore(signal);
        const batch = this.#inFlight.shift();
        if (batch) yield* this.#deliver(batch, signal);
        else if (this.#ended) return;
        else await this.#changed.promise;
      }
    } finally {
      this.#place.leave();
      clearInterval(filler);
      // Work that nobody will read is of no use to anybody.
      stop.abort();
      for (const { frames, first } of this.#inFlight) {
        first.catch(() => {});
        frames.return(undefined).catch(() => {});
      }
    }
  }

  async *#deliver(batch: MicroBatch, signal: AbortSignal): AsyncGenerator<StreamedFrame> {
    for (let item = await batch.first; !item.done; item = await batch.frames.next()) {
      const timeMs = item.value.frameIndex * FRAME_MS;
      this.#gpuId = item.value.gpuId;
      yield { ...item.value, timeMs, latencyMs: performance.now() - batch.readyAtMs };
      this.#askForMore(signal);
    }
  }

  #askForMore(signal: AbortSignal): void {
    while (this.#inFlight.length < MICRO_BATCHES_IN_FLIGHT) {
      const start = this.#nextFrame;
      const end = Math.min(this.#sound.readyFrames, start + MICRO_BATCH_FRAMES);
      if (end <= start) return;
      this.#inFlight.push(this.#request(start, end, signal));
      this.#nextFrame = end;
      this.#sound.forgetBefore(end);
      this.#wake();
    }
  }

  #request(start: number, end: number, signal: AbortSignal): MicroBatch {
    const { samples, firstSample, totalSamples } = this.#sound.pieceFrom(start);
    const { modelId, startFrameIndex, output, jpegQuality } = this.#options;
    const work: LiveWork = {
      ...{ modelId, startFrameIndex, output, jpegQuality, firstSample, totalSamples, streamId: this.#streamId },
      frames: { start, end },
      rowsAhead: this.#rowsAhead,
      preferredGpu: this.#gpuId,
    };
    const audio = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
    const payload = { audio, visualFrames: Buffer.alloc(0), audioFeatures: Buffer.alloc(0) };
    const frames = this.#requests.run(work, payload, signal);
    const first = frames.next();
    first.catch(() => {});
    return { frames, first, readyAtMs: performance.now() };
  }

  /** Puts silence in, in real time, while no sound comes. */
  #startFiller(): NodeJS.Timeout | undefined {
    const { fillGapsAfterMs, sampleRateHz } = this.#options;
    if (fillGapsAfterMs <= 0) return undefined;
    let filledUntilMs = 0;
    return setInterval(() => {
      const silentMs = performance.now() - this.#writtenAtMs;
      if (silentMs < fillGapsAfterMs) filledUntilMs = 0;
      if (this.#ended || silentMs < fillGapsAfterMs || this.#sound.heldSamples > MOST_HELD_SAMPLES) return;
      this.#sound.push(new Float32Array(Math.round(((silentMs - filledUntilMs) / 1000) * sampleRateHz)));
      filledUntilMs = silentMs;
      this.#wake();
    }, FRAME_MS);
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
