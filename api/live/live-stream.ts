import { randomBytes } from 'node:crypto';
import { FarmError } from '../../shared/errors.ts';
import type { StreamPlace } from './admission.ts';
import { ALL_ROWS_AHEAD, algorithmicLatencyMs } from './audio-context.ts';
import type { LiveFrame, LiveRequests, LiveWork } from './live-request.ts';
import { LiveSound } from './live-sound.ts';

export interface StreamOptions {
  readonly modelId: string;
  /** 8000 … 48 000. */
  readonly sampleRateHz: number;
  readonly startFrameIndex: number;
  readonly output: 'jpeg' | 'raw';
  readonly jpegQuality: number;
  /** 'exact': frames equal those of a whole render. 'low': less of the sound ahead of a frame is waited for. */
  readonly latency: 'exact' | 'low';
  /** When the sound has run out for this long, silence is put in so that the face stays alive; 0: never. */
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
  /** When the sound of frames before `frames` was complete, for frames that have not been handed out. */
  readonly #completions: { readonly frames: number; readonly atMs: number }[] = [];
  /** When the sound that came will have run out, if it is played as it comes. */
  #soundUntilMs = performance.now();
  #inGap = false;
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

  /**
   * Takes sound in [-1, 1] at the stream's rate; resolves when more may come, and rejects once the stream has been
   * stopped. All of it is held, so a long sound must come in pieces.
   */
  async write(samples: Float32Array): Promise<void> {
    this.#signal.throwIfAborted();
    if (this.#ended) throw new FarmError('request_invalid', 'Sound came after the end of the stream');
    this.#inGap = false;
    this.#push(samples);
    while (this.#sound.heldSamples > MOST_HELD_SAMPLES && !this.#signal.aborted) await this.#changed.promise;
  }

  /** No more sound will come: the rest of the frames follows, then the end. */
  end(): void {
    this.#ended = true;
    this.#sound.end();
    this.#noteCompletion();
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
      for (const batch of this.#inFlight) giveUp(batch);
    }
  }

  async *#deliver(batch: MicroBatch, signal: AbortSignal): AsyncGenerator<StreamedFrame> {
    try {
      for (let item = await batch.first; !item.done; item = await batch.frames.next()) {
        const { frameIndex, gpuId } = item.value;
        this.#gpuId = gpuId;
        const latencyMs = performance.now() - this.#completedAtMs(frameIndex);
        yield { ...item.value, timeMs: frameIndex * FRAME_MS, latencyMs };
        this.#askForMore(signal);
      }
    } finally {
      giveUp(batch);
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
    const { samples, firstSample, totalSamples } = this.#sound.pieceFor(start, end);
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
    return { frames, first };
  }

  /** Puts silence in, in real time, once the sound that came has run out. */
  #startFiller(): NodeJS.Timeout | undefined {
    const { fillGapsAfterMs, sampleRateHz } = this.#options;
    if (fillGapsAfterMs <= 0) return undefined;
    return setInterval(() => {
      const silentMs = performance.now() - this.#soundUntilMs;
      const tooSoon = silentMs < (this.#inGap ? 0 : fillGapsAfterMs);
      if (this.#ended || tooSoon || this.#sound.heldSamples > MOST_HELD_SAMPLES) return;
      this.#inGap = true;
      this.#push(new Float32Array(Math.round((silentMs * sampleRateHz) / 1000)));
    }, FRAME_MS);
  }

  #push(samples: Float32Array): void {
    const lengthMs = (1000 * samples.length) / this.#options.sampleRateHz;
    // Silence is put in for a time that has passed, sound plays from now on or after the sound before it.
    this.#soundUntilMs = this.#inGap ? performance.now() : Math.max(performance.now(), this.#soundUntilMs) + lengthMs;
    this.#sound.push(samples);
    this.#noteCompletion();
  }

  #noteCompletion(): void {
    const frames = this.#sound.readyFrames;
    if (frames > (this.#completions.at(-1)?.frames ?? 0)) this.#completions.push({ frames, atMs: performance.now() });
    this.#wake();
  }

  /** Frames are asked about in their order. */
  #completedAtMs(frameIndex: number): number {
    while ((this.#completions[0]?.frames ?? Number.POSITIVE_INFINITY) <= frameIndex) this.#completions.shift();
    return this.#completions[0]?.atMs ?? performance.now();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/** Has a micro-batch clean up after itself; one that has ended has done so. */
function giveUp({ frames }: MicroBatch): void {
  frames.return(undefined).catch(() => {});
}
