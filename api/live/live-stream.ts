import { randomBytes } from 'node:crypto';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { ignored, logged } from '../../shared/process/unheard.ts';
import { type FrameRate, frameMs, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import type { Hearing } from '../../shared/sound/hearing.ts';
import { FEATURE_ROWS_AFTER } from '../../shared/sound/rates.ts';
import { LOW_LATENCY_ROWS_AHEAD } from '../../shared/sound/row-reach.ts';
import { algorithmicLatencyMs, type FrameContext } from './audio-context.ts';
import { FrameTimes } from './frame-times.ts';
import { HeldPlace, type HeldPlaceTools } from './held-place.ts';
import type { LiveFrame, LiveRequests, LiveWork } from './live-request.ts';
import { LiveSound, type SilenceWatch } from './live-sound.ts';
import type { StreamOptions } from './stream-open.ts';

export interface LiveStreamTools extends Omit<HeldPlaceTools, 'whereNow'> {
  readonly requests: LiveRequests;
  /** Decides where the sound is silent; absent: the mouth is always as the network makes it. */
  readonly silence?: SilenceWatch | undefined;
}

export interface StreamedFrame extends LiveFrame {
  /** Presentation time on the stream's own clock: frameIndex × 40 ms, or 50 ms at 20 frames a second. */
  readonly timeMs: number;
  /** From the moment its sound was complete to the moment it was handed out. */
  readonly latencyMs: number;
  /** Frames right before this one that were left out because they would have come too late. */
  readonly skippedFrames: number;
}

/** The stream was interrupted here: the sound that comes next begins with this frame. */
export interface Interruption {
  /** The first frame that was not handed out. */
  readonly stoppedAt: number;
}

const SAMPLES_PER_MS = 16;
/** Frames requested at once when sound comes faster than real time; with more, a worker's death would cost more. */
const MICRO_BATCH_FRAMES = 16;
/** Micro-batches in flight at once: one is rendered while the next one waits at the worker. */
const MICRO_BATCHES_IN_FLIGHT = 2;
/** Sound that may wait to be rendered, 5 s; a client that is further ahead has to wait. */
const MOST_HELD_SAMPLES = 5 * 1000 * SAMPLES_PER_MS;
/** A frame is too late when it is requested so long after it should have been shown. */
const LATE_MS = 400;

/** A micro-batch that is being rendered. */
interface MicroBatch {
  readonly frames: AsyncGenerator<LiveFrame>;
  /** The first frame, requested at once so that the work begins before the reader asks for it. */
  readonly first: Promise<IteratorResult<LiveFrame>>;
  /** Frames that were left out before it. */
  readonly skippedFrames: number;
}

/** A stream, and what its model's network hears; 16 rows of `ave` when absent. */
export interface ModelStreamOptions extends StreamOptions {
  readonly hearing?: Hearing | undefined;
}

/** One live stream: sound in, frames out in order, each as soon as its sound is complete. */
export class LiveStream {
  readonly #options: ModelStreamOptions;
  readonly #tools: LiveStreamTools;
  readonly #signal: AbortSignal;
  readonly #context: FrameContext;
  readonly #sound: LiveSound;
  readonly #times: FrameTimes;
  readonly #place: HeldPlace;
  readonly #inFlight: MicroBatch[] = [];
  /** Names one sound to the workers, which keep what they have computed of it. */
  #soundId = newSoundId();
  /**
   * The GPU of the stream's place, then the one that made the last frame: its worker has the encoded sound in memory.
   */
  #gpuId: number | undefined;
  #ended = false;
  /** First frame that was not requested yet. */
  #nextFrame = 0;
  /** First frame that was not handed out yet. */
  #nextOut = 0;
  /** One that the reader was not told of yet. */
  #interruption: Interruption | undefined;
  /** Stops the micro-batches since the last interruption. */
  #batches: { readonly stop: AbortController; readonly signal: AbortSignal };
  #inGap = false;
  #changed = Promise.withResolvers<void>();

  constructor(options: ModelStreamOptions, tools: LiveStreamTools, signal: AbortSignal) {
    this.#options = options;
    this.#tools = tools;
    this.#gpuId = tools.place.gpuId;
    this.#signal = signal;
    this.#batches = stoppable(signal);
    const rowsAhead = options.latency === 'low' ? LOW_LATENCY_ROWS_AHEAD : FEATURE_ROWS_AFTER;
    this.#context = { rowsAhead, frameRate: options.frameRate, hearing: options.hearing };
    this.#sound = new LiveSound(options.sampleRateHz, this.#context, tools.silence);
    this.#times = new FrameTimes(options.sampleRateHz, this.#context);
    this.#place = new HeldPlace({ ...tools, whereNow: () => this.#gpuId });
    const onAbort = () => {
      this.#place.leave();
      this.#wake();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  }

  get framesPerSecond(): FrameRate {
    return this.#context.frameRate ?? USUAL_FRAME_RATE;
  }

  /** Time from the beginning of a frame to the end of the sound that it needs. */
  get algorithmicLatencyMs(): number {
    return algorithmicLatencyMs(this.#context);
  }

  /**
   * Takes sound in [-1, 1] at the stream's rate; resolves when more may come, and rejects once the stream has been
   * stopped. A piece is held in memory as a whole, so a long sound must come in several.
   * @throws FarmError `capacity_full` when the stream was idle and another one has its place.
   */
  async write(samples: Float32Array): Promise<void> {
    this.#signal.throwIfAborted();
    if (this.#ended) throw new FarmError('request_invalid', 'Sound came after the end of the stream');
    const batches = this.#batches;
    await this.#place.during(async () => {
      // Its place may have come after an interruption, which it came before.
      if (this.#batches !== batches) return;
      this.#inGap = false;
      this.#push(samples);
      while (this.#sound.heldSamples > MOST_HELD_SAMPLES && !this.#signal.aborted) await this.#changed.promise;
    });
  }

  /** No more sound will come: the rest of the frames follows, then the end. */
  end(): void {
    this.#ended = true;
    this.#place.keepToTheEnd();
    this.#sound.end();
    this.#noteCompletion();
  }

  /**
   * Drops the sound whose frames were not handed out, and stops their rendering. The sound that comes next begins with
   * the first of these frames, and follows what was heard until then. Several before the reader is told are one.
   */
  interrupt(): void {
    const stoppedAt = this.#nextOut;
    this.#batches.stop.abort();
    this.#batches = stoppable(this.#signal);
    for (const batch of this.#inFlight.splice(0)) giveUp(batch);
    this.#sound.cutAt(stoppedAt);
    this.#times.cutAt(stoppedAt);
    this.#soundId = newSoundId();
    this.#nextFrame = stoppedAt;
    this.#inGap = false;
    this.#interruption = { stoppedAt };
    this.#wake();
  }

  /** The frames in order, and the interruptions between them. More are requested only while the reader keeps up. */
  async *outputs(): AsyncGenerator<StreamedFrame | Interruption> {
    this.#place.keep();
    const filler = this.#startFiller();
    try {
      for (;;) {
        if (this.#signal.aborted) throw new FarmError('request_cancelled', 'The stream was cancelled');
        const interruption = this.#interruption;
        this.#interruption = undefined;
        if (interruption) yield interruption;
        this.#askForMore();
        const batch = this.#inFlight.shift();
        if (batch) yield* this.#deliver(batch);
        else if (this.#interruption) continue;
        else if (this.#ended) return;
        else await this.#changed.promise;
      }
    } finally {
      this.#place.leave();
      clearInterval(filler);
      // Nobody will read these frames, so their rendering is stopped.
      this.#batches.stop.abort();
      for (const batch of this.#inFlight) giveUp(batch);
    }
  }

  async *#deliver(batch: MicroBatch): AsyncGenerator<StreamedFrame> {
    let { skippedFrames } = batch;
    const { stop } = this.#batches;
    try {
      for (let item = await batch.first; !item.done; item = await batch.frames.next()) {
        if (stop.signal.aborted) return;
        const { frameIndex, gpuId } = item.value;
        this.#gpuId = gpuId;
        this.#nextOut = frameIndex + 1;
        const latencyMs = this.#times.sinceReadyMs(frameIndex);
        yield { ...item.value, timeMs: frameIndex * frameMs(this.#context.frameRate), latencyMs, skippedFrames };
        if (stop.signal.aborted) return;
        skippedFrames = 0;
        this.#askForMore();
      }
      this.#sound.forgetBefore(this.#nextOut);
      this.#wake();
    } catch (error) {
      // What was interrupted has failed for that reason.
      if (!stop.signal.aborted) throw error;
    } finally {
      giveUp(batch);
    }
  }

  #askForMore(): void {
    while (this.#inFlight.length < MICRO_BATCHES_IN_FLIGHT) {
      const start = this.#firstInTime(this.#nextFrame);
      const end = Math.min(this.#sound.readyFrames, start + MICRO_BATCH_FRAMES);
      if (end <= start) return;
      this.#inFlight.push({ ...this.#request(start, end), skippedFrames: start - this.#nextFrame });
      this.#nextFrame = end;
    }
  }

  /**
   * The frame to ask for next: `frame`, or the first ready one that is not late when `frame` is too late and late
   * frames are left out. The last ready frame is never left out.
   */
  #firstInTime(frame: number): number {
    const lastReady = this.#sound.readyFrames - 1;
    if (this.#options.catchUp === 'keep' || frame >= lastReady || this.#times.latenessMs(frame) <= LATE_MS)
      return frame;
    let next = frame + 1;
    while (next < lastReady && this.#times.latenessMs(next) > 0) next++;
    return next;
  }

  #request(start: number, end: number): Pick<MicroBatch, 'frames' | 'first'> {
    const { samples, ...piece } = this.#sound.pieceFor(start, end);
    const { modelId, startFrameIndex, backgroundMode, output, jpegQuality } = this.#options;
    const { rowsAhead, frameRate } = this.#context;
    const work: LiveWork = {
      ...(backgroundMode && { backgroundMode }),
      ...{ modelId, startFrameIndex, output, jpegQuality, ...piece, streamId: this.#soundId },
      frames: { start, end },
      ...{ rowsAhead, frameRate },
      preferredGpu: this.#gpuId,
    };
    const audio = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
    const payload = {
      audio,
      visualFrames: Buffer.alloc(0),
      visualForm: 'floats',
      audioFeatures: Buffer.alloc(0),
    } as const;
    const frames = this.#tools.requests.run(work, payload, this.#batches.signal);
    const first = frames.next();
    first.catch(ignored('it is reported when it is awaited'));
    return { frames, first };
  }

  /** Inserts silence in real time once the sound has run out. */
  #startFiller(): NodeJS.Timeout | undefined {
    const { fillGapsAfterMs, sampleRateHz } = this.#options;
    if (fillGapsAfterMs <= 0) return undefined;
    return setInterval(() => {
      const silentMs = performance.now() - this.#times.soundUntilMs;
      const tooSoon = silentMs < (this.#inGap ? 0 : fillGapsAfterMs);
      if (this.#ended || !this.#place.isHeld || tooSoon || this.#sound.heldSamples > MOST_HELD_SAMPLES) return;
      this.#inGap = true;
      this.#push(new Float32Array(Math.round((silentMs * sampleRateHz) / 1000)));
    }, frameMs(this.#context.frameRate));
  }

  #push(samples: Float32Array): void {
    this.#times.soundCame(samples.length, this.#inGap);
    this.#sound.push(samples);
    this.#noteCompletion();
  }

  #noteCompletion(): void {
    this.#times.framesReady(this.#sound.readyFrames);
    this.#wake();
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

function newSoundId(): string {
  return randomBytes(9).toString('base64url');
}

function stoppable(signal: AbortSignal) {
  const stop = new AbortController();
  return { stop, signal: AbortSignal.any([signal, stop.signal]) };
}

/** Stops a micro-batch, which then cleans up; one that has ended has done so already. */
function giveUp({ frames }: MicroBatch): void {
  frames.return(undefined).catch(logged('could not clean up after a live request; its keys expire'));
}
