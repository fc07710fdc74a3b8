import type { Redis } from 'ioredis';
import { withMode } from '../../shared/background-mode.ts';
import type { Config } from '../../shared/config/load.ts';
import { hasIdleClip } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { QueueClients } from '../../shared/jobs/queues.ts';
import { SAMPLE_RATE_HZ_RANGE } from '../../shared/limits.ts';
import type { LiveSummary } from '../../shared/live/frames.ts';
import type { RepeatLog } from '../../shared/process/repeat.ts';
import { withFrameRate } from '../../shared/sound/frame-rate.ts';
import { type Hearing, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import { idleAfterFrames } from '../../shared/sound/idle-track.ts';
import { FEATURE_ROWS_AFTER } from '../../shared/sound/rates.ts';
import { isLive } from '../../shared/sound/row-reach.ts';
import { SilenceGate } from '../../shared/sound/silence-gate.ts';
import type { Caller } from '../access/caller.ts';
import { AuditLog } from '../logs/audit-log.ts';
import type { Models } from '../models.ts';
import { StreamAdmission } from './admission.ts';
import type { FrameContext } from './audio-context.ts';
import { LiveDispatcher } from './dispatch.ts';
import { type GpuWish, LiveRequests, type LiveRequestTools, type LiveWork } from './live-request.ts';
import { LiveSound, type SilenceWatch, type SoundPiece } from './live-sound.ts';
import { LiveStream } from './live-stream.ts';
import { RecentHearing } from './recent-hearing.ts';
import { RequestChannels } from './request-channels.ts';
import { StreamSlots } from './slots.ts';
import type { StreamOptions } from './stream-open.ts';
import type { VisualInputs } from './visual-inputs.ts';
import { visualPayload } from './visual-payload.ts';

export interface InferRequest {
  readonly modelId: string;
  /** 1 … 50. Frames 0 … frameCount − 1 of the sound, at the rate of the model. */
  readonly frameCount: number;
  readonly startFrameIndex: number;
  /** Mono sound in [-1, 1] at `sampleRateHz`; empty when features are given. */
  readonly audio: Float32Array;
  /** 8000 … 48 000. */
  readonly sampleRateHz: number;
  /** [frameCount, 6, S, S] instead of the avatar's own pictures, or empty. Handed over. */
  readonly visualFrames: VisualInputs;
  /** [32, 16, 16] float32 little-endian for every frame, or empty. */
  readonly audioFeatures: Buffer;
  /** `mouths`: no frames, but what the network gives for each, [3, S, S] float32, BGR 0…1, little-endian. */
  readonly output: 'jpeg' | 'raw' | 'mouths';
  readonly jpegQuality: number;
}

type FrameWalk = Pick<LiveWork, 'backgroundMode' | 'frameRate'>;

export interface InferResult {
  readonly frames: Buffer[];
  readonly summary: LiveSummary;
}

export interface LiveServiceTools {
  readonly config: Config;
  readonly redis: Redis;
  /** The Redis that live requests go over, where that is another one. */
  readonly liveRedis?: Redis;
  readonly queues: QueueClients;
  readonly models: Models;
  readonly log: RepeatLog;
  readonly audit?: AuditLog;
  readonly onAnswered?: LiveRequestTools['onAnswered'];
  /** Opens a connection for blocking reads to the Redis that live requests go over. */
  readonly openReader: () => Redis;
}

const NOTHING = {
  audio: Buffer.alloc(0),
  visualFrames: Buffer.alloc(0),
  visualForm: 'floats',
  audioFeatures: Buffer.alloc(0),
} as const;
/** A request that loads a model and renders no frame. */
const NO_FRAMES = {
  loadOnly: true,
  frames: { start: 0, end: 1 },
  ...{ startFrameIndex: 0, totalSamples: 0, firstSample: 0, rowsAhead: FEATURE_ROWS_AFTER },
  output: 'jpeg',
  jpegQuality: 1,
} as const;

/** Unary requests and streams as jobs on the GPU queues, independent of any transport. */
export class LiveService {
  readonly #tools: LiveServiceTools;
  readonly #channels: RequestChannels;
  readonly #requests: LiveRequests;
  readonly #dispatcher: LiveDispatcher;
  readonly #admission: StreamAdmission;
  readonly #hearing = new RecentHearing();

  constructor(tools: LiveServiceTools) {
    this.#tools = tools;
    const { liveRedis = tools.redis } = tools;
    this.#channels = new RequestChannels({ ...tools, redis: liveRedis });
    this.#dispatcher = new LiveDispatcher(tools.models.workers, tools.config);
    this.#admission = new StreamAdmission(new StreamSlots(tools.redis), this.#dispatcher, tools);
    this.#requests = new LiveRequests({
      redis: tools.redis,
      liveRedis,
      queues: tools.queues,
      log: tools.log,
      channels: this.#channels,
      dispatcher: this.#dispatcher,
      onAnswered: tools.onAnswered,
      waitMs: tools.config.limits.live_wait_seconds * 1000,
    });
  }

  /** FarmError: model_unknown, model_unusable, request_invalid, deadline_exceeded, request_cancelled, worker_lost. */
  async infer(request: InferRequest, signal: AbortSignal): Promise<InferResult> {
    checkRate(request.sampleRateHz);
    const bringsPictures = request.output === 'mouths' && request.visualFrames.byteLength > 0;
    await this.#tools.models.refuseUnusable(request.modelId, bringsPictures ? 'network' : 'pictures', 'lately');
    const { modelId, startFrameIndex, output, jpegQuality, audioFeatures } = request;
    const { hearing, ...walk } = await this.#walkOf(modelId);
    const silence = isGateable(request) ? this.#silenceOf(modelId, walk) : undefined;
    const { samples, ...piece } = soundOf(request, { ...walk, hearing }, silence);
    const work = {
      ...{ modelId, startFrameIndex, jpegQuality, ...piece, ...walk },
      ...(output === 'mouths' ? ({ output: 'raw', mouths: true } as const) : { output }),
      frames: { start: 0, end: request.frameCount },
      rowsAhead: FEATURE_ROWS_AFTER,
    };
    const audio = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
    const visual = await visualPayload(request.visualFrames, request, this.#tools.models.workers);
    const answers = this.#requests.run(work, { audio, ...visual, audioFeatures }, signal);
    const frames: Buffer[] = [];
    for (;;) {
      const answer = await answers.next();
      if (answer.done) return { frames, summary: answer.value };
      frames.push(answer.value.data);
    }
  }

  /**
   * Loads a model on a GPU.
   * @param wish without one, a GPU that has the model or little to do is chosen.
   * FarmError: model_unknown, model_unusable, model_too_large, request_invalid when `onlyGpu` cannot use the model,
   * deadline_exceeded, request_cancelled, worker_lost.
   */
  async load(modelId: string, wish: GpuWish, signal: AbortSignal): Promise<LiveSummary> {
    const { audit = new AuditLog() } = this.#tools;
    const gpu = wish.onlyGpu ?? wish.preferredGpu;
    return await audit.noting('model.load', { model: modelId, gpu }, () => this.#load(modelId, wish, signal));
  }

  async #load(modelId: string, wish: GpuWish, signal: AbortSignal): Promise<LiveSummary> {
    // The GPU is chosen by what the workers say now.
    await this.#tools.models.workers.now();
    await this.#tools.models.refuseUnusable(modelId, 'network', 'lately');
    if (wish.onlyGpu !== undefined) await this.#tools.models.refuseGpu(modelId, wish.onlyGpu, signal);
    const answers = this.#requests.run({ ...NO_FRAMES, modelId, ...wish }, NOTHING, signal);
    const answer = await answers.next();
    if (answer.done) return answer.value;
    throw new FarmError('internal', `GPU ${answer.value.gpuId} made a frame that nobody asked for`);
  }

  /** FarmError: model_unknown, model_unusable, request_invalid, capacity_full, key_limit_reached. */
  async openStream(options: StreamOptions, caller: Caller, signal: AbortSignal): Promise<LiveStream> {
    checkRate(options.sampleRateHz);
    await this.#tools.models.refuseUnusable(options.modelId, 'pictures', 'lately');
    const owner = { name: caller.keyName ?? '', mostStreams: caller.limits.streams };
    const { backgroundMode, frameRate, ...rest } = options;
    const chosen = await this.#walkOf(options.modelId, { backgroundMode, frameRate });
    refuseWholeSound(options.modelId, chosen.hearing);
    const stream = { ...rest, ...chosen };
    const admit = () => this.#admission.admit(stream, owner, signal);
    const tools = {
      requests: this.#requests,
      place: await admit(),
      admit,
      idleMs: this.#tools.config.live.idle_stream_seconds * 1000,
      silence: this.#silenceOf(options.modelId, chosen, options.silenceGate),
    };
    return new LiveStream(stream, tools, signal);
  }

  /** How frames of a model follow each other, and what they hear. @param wanted what the request says itself. */
  async #walkOf(modelId: string, wanted: FrameWalk = {}): Promise<FrameWalk & Pick<FrameContext, 'hearing'>> {
    const model = await this.#tools.models.requireKnown(modelId);
    const { hearing, frameRate } = await this.#hearing.of(model);
    return {
      ...withMode(wanted.backgroundMode, model.backgroundMode),
      ...withFrameRate(wanted.frameRate, frameRate),
      hearing,
    };
  }

  /** @param wanted whether the request wants one itself. */
  #silenceOf(modelId: string, { frameRate }: FrameWalk, wanted?: boolean): SilenceWatch | undefined {
    const model = this.#tools.config.models.get(modelId);
    if (!model || !(wanted ?? model.silenceGate)) return undefined;
    return {
      gate: new SilenceGate(model.gate, frameRate),
      idleAfterFrames: hasIdleClip(model) ? idleAfterFrames(model.idleAfterMs, frameRate) : undefined,
    };
  }

  /** Lets workers connect, unless the configuration has all frames come over Redis. The address that they connect to. */
  async listen(): Promise<string | undefined> {
    const { live, limits, storageRoot } = this.#tools.config;
    if (live.frame_channel === 'redis') return undefined;
    return await this.#channels.listen({
      ...{ listen: live.frame_listen ?? undefined, advertise: live.frame_advertise, storageRoot },
      maxConnections: limits.max_connections,
    });
  }

  async close(): Promise<void> {
    await this.#channels.close();
  }
}

/** The sound that the requested frames depend on, at 16 kHz: a clip may be much longer. */
function soundOf(
  { audio, sampleRateHz, frameCount }: InferRequest,
  { frameRate, hearing }: Omit<FrameContext, 'rowsAhead'>,
  silence: SilenceWatch | undefined,
): SoundPiece {
  const sound = new LiveSound(sampleRateHz, { rowsAhead: FEATURE_ROWS_AFTER, frameRate, hearing }, silence);
  const second = sampleRateHz;
  for (let start = 0; start < audio.length && sound.readyFrames < frameCount; start += second) {
    sound.push(audio.subarray(start, start + second));
  }
  if (sound.readyFrames < frameCount) sound.end();
  return sound.pieceFor(0, frameCount);
}

/** Mouths of silence belong to the avatar's own pictures, and silence to a sound. */
function isGateable({ output, visualFrames, audioFeatures, audio }: InferRequest): boolean {
  return output !== 'mouths' && visualFrames.byteLength === 0 && audioFeatures.length === 0 && audio.length > 0;
}

/** FarmError `request_invalid`: no frame of such a stream would be ready before its end. */
function refuseWholeSound(modelId: string, hearing: Hearing = USUAL_HEARING): void {
  if (isLive(hearing)) return;
  throw new FarmError(
    'request_invalid',
    `Model "${modelId}" hears HuBERT in chunks of 20 s, at the level of the whole sound, so no frame is ready before the sound ends: hubert_chunks: short in its entry makes streams work`,
  );
}

function checkRate(sampleRateHz: number): void {
  const { min, max } = SAMPLE_RATE_HZ_RANGE;
  if (Number.isInteger(sampleRateHz) && sampleRateHz >= min && sampleRateHz <= max) return;
  throw new FarmError(
    'request_invalid',
    `sample_rate: got ${sampleRateHz}; expected a whole number from ${min} to ${max} Hz`,
  );
}
