import type { Redis } from 'ioredis';
import { ERROR_CATALOGUE } from '../../shared/errors/catalogue.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { LiveJob } from '../../shared/jobs/jobs.ts';
import type { TakeOffer } from '../../shared/live/direct/frame-link.ts';
import { FencedOut } from '../../shared/live/frames.ts';
import { type LivePayload, livePayloadKey } from '../../shared/live/live-payload.ts';
import { RedisFrameWriter } from '../../shared/live/redis-channel.ts';
import { logged } from '../../shared/process/unheard.ts';
import { idleFrom } from '../../shared/sound/idle-track.ts';
import type { PipelineThread } from '../engine/pipeline-thread.ts';
import type { LiveForm, LiveResult, LiveTask } from '../engine/thread-protocol.ts';
import type { CancelWatch } from '../jobs/cancellation.ts';
import type { JobContext } from '../jobs/job-runner.ts';
import type { Blocklist } from '../queues/blocklist.ts';
import type { FrameChannels } from './frame-channels.ts';
import { FramePublisher } from './frame-publisher.ts';
import { Liveness } from './liveness.ts';
import type { ModelClaims } from './model-claims.ts';
import type { ModelUsage } from './model-usage.ts';
import { TaskWatch } from './task-watch.ts';
import { type KnownModels, usableModel } from './usable-model.ts';
import type { WorkLog } from './work-log.ts';

export interface LiveHandlerTools extends KnownModels {
  readonly gpuId: number;
  readonly thread: PipelineThread;
  readonly usage: ModelUsage;
  readonly redis: Redis;
  readonly channels: FrameChannels;
  readonly cancellation: CancelWatch;
  readonly blocklist: Blocklist;
  readonly claims: Pick<ModelClaims, 'load'>;
  readonly workLog: WorkLog;
  /** Resolves once the heartbeat in Redis says what is so now. */
  readonly stateWritten: () => Promise<void>;
}

const NO_WORK = { audioMs: 0, inferenceMs: 0, compositeMs: 0 };

/** Abort reason of live work whose client has given up. */
class Unwanted extends Error {
  override readonly name = 'Unwanted';
}

/** @param offer of a job that its front end offered to this worker; absent for one from a queue. */
export type LiveHandler = (job: LiveJob, context: JobContext, offer?: TakeOffer) => Promise<string>;

/**
 * Handles `live` jobs: has the pipeline thread make the frames and writes each to the request's channel as it comes.
 * Errors are written there as well: the front end decides whether to try again.
 */
export function liveHandler(tools: LiveHandlerTools): LiveHandler {
  const { redis, channels, gpuId, cancellation } = tools;
  return async (job, context, offer) => {
    const ended = new AbortController();
    const unwatch = cancellation.watch(job.requestId, ended);
    const onFenced = (fault: FencedOut) => ended.abort(fault);
    const writer = channels.writerFor(job, { pickup: context.attempt, gpuId, offer, onFenced });
    const signal = AbortSignal.any([context.signal, ended.signal]);
    // Whatever waits for the front end to read, or for Redis, waits no longer.
    const stopped = new Promise<{ state: 'stopped' }>((resolve) => {
      signal.addEventListener('abort', () => {
        writer.close();
        resolve({ state: 'stopped' });
      });
    });
    try {
      const [opened] = await Promise.all([Promise.race([writer.open(), stopped]), context.begun]);
      context.signal.throwIfAborted();
      if (opened.state === 'stopped') return `stopped: ${reasonOf(ended.signal.reason)}`;
      if (opened.state === 'gone') return 'skipped: its payload is gone';
      if (opened.state === 'over') return 'skipped: it has been answered';
      const publisher = new FramePublisher(writer, (fault) => ended.abort(fault));
      const task = toTask(job, opened.payload, opened.firstFrame);
      const unwanted = () => ended.abort(new Unwanted('its client no longer waits'));
      // The connection over which a job was offered tells both sides whether the other one is there.
      const life = offer ? undefined : new Liveness(redis, job, unwanted, context.log);
      try {
        return await work(tools, job, task, { context, ended, publisher });
      } finally {
        await Promise.all([life?.stop(), publisher.close()]);
      }
    } finally {
      writer.close();
      unwatch();
    }
  };
}

/** Reports a job that ended its worker every time to its front end; does nothing when nobody waits. */
export async function liveJobLost(redis: Redis, job: LiveJob, gpuId: number): Promise<void> {
  const { requestId, attempt, frames } = job;
  if ((await redis.exists(livePayloadKey(requestId))) === 0) return;
  const { remedy } = ERROR_CATALOGUE.worker_lost;
  const message = `Request ${requestId} ended its worker every time it was picked up`;
  // Over Redis, whatever the job says: its front end looks there when no worker is connected.
  const writer = new RedisFrameWriter(redis, { requestId, attempt, frames, pickup: 1, gpuId });
  const untold = logged(
    'could not tell a front end that its request was lost; it sees for itself that no worker is at it',
  );
  try {
    await writer.taken();
    await writer.failed({ code: 'worker_lost', message, remedy });
  } catch (fault) {
    untold(fault);
  }
}

interface Work {
  readonly context: JobContext;
  readonly ended: AbortController;
  readonly publisher: FramePublisher;
}

async function work(
  tools: LiveHandlerTools,
  job: LiveJob,
  task: LiveTask,
  { context, ended, publisher }: Work,
): Promise<string> {
  const { gpuId, thread, usage, blocklist, claims } = tools;
  const signal = AbortSignal.any([context.signal, ended.signal]);
  const openedMs = performance.now();
  const watch = watchOf(tools, job, context);
  try {
    await usableModel(tools, job.modelId);
    const load = await claims.load({ modelId: job.modelId, waitMs: job.waitMs }, signal);
    if (job.loadOnly) {
      // Whoever hears that it is loaded may have it unloaded at once, and is to find it.
      await unlessAborted(tools.stateWritten(), signal);
      await publisher.done({ gpuId, ...load, ...NO_WORK });
      return 'loaded';
    }
    watch.sound(task.audio);
    const threadsFromMs = performance.now();
    const result = await thread.live({ ...task, traced: watch.traced }, signal, (finished) => {
      for (const { data } of finished) watch.progressed(data, task.form.kind);
      context.progressed();
      if (!signal.aborted) publisher.frames(finished);
    });
    const doneMs = performance.now();
    const moments = { openedMs, threadsFromMs, threadsToMs: doneMs, doneMs };
    const sent = publisher.done({ gpuId, ...summaryOf({ ...result, ...load }), moments });
    watch.done(watch.made, stageTimes(result), result.spans, result.silence);
    blocklist.succeeded(job);
    usage.note(job.modelId, result.timings.inference);
    await sent;
    return 'done';
  } catch (thrown) {
    // The job is back in its queue or with another worker: its outcome is decided there.
    if (context.signal.aborted) throw thrown;
    const stopped = ended.signal.aborted || thrown instanceof FencedOut;
    const error = FarmError.from(thrown);
    watch.failed(stopped, error);
    if (stopped) return `stopped: ${reasonOf(ended.signal.aborted ? ended.signal.reason : thrown)}`;
    blocklist.failed(job, error);
    context.log.warn({ request: job.requestId, code: error.code, reason: error.message }, 'live request failed');
    const untold = logged(
      'could not tell a front end that its request failed; it takes the worker for lost within seconds',
    );
    await publisher.failed(error.toReport()).catch(untold);
    throw error;
  }
}

/** @throws `signal.reason` once that is aborted, whatever becomes of the promise. */
async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  await Promise.race([promise, aborted]);
}

/** The work on the frames from `firstFrame` on. */
function toTask(
  job: LiveJob,
  { audio, visualFrames, visualForm, audioFeatures }: LivePayload,
  firstFrame: number,
): LiveTask {
  const { requestId, streamId, modelId, frames, startFrameIndex, backgroundMode } = job;
  const { totalSamples, firstSample, rowsAhead, frameRate } = job;
  const bytesPerFrame = Math.floor(visualFrames.length / (frames.end - frames.start));
  return {
    ...{ requestId, streamId, modelId, startFrameIndex, backgroundMode, totalSamples, firstSample, rowsAhead },
    voices: job.voices?.slice(firstFrame - frames.start),
    idle: job.idle && idleFrom(job.idle, firstFrame - frames.start),
    ...{ frameRate, waitMs: job.waitMs },
    form: formOf(job),
    frames: { start: firstFrame, end: frames.end },
    audio: aloneInMemory(audio),
    visualFrames: aloneInMemory(visualFrames.subarray((firstFrame - frames.start) * bytesPerFrame)),
    visualForm,
    audioFeatures: aloneInMemory(audioFeatures),
  };
}

/** The same bytes alone in their memory, which is transferred to the thread: parts of one answer of Redis share theirs. */
function aloneInMemory(bytes: Buffer): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}

function formOf({ mouths, output, jpegQuality }: LiveJob): LiveForm {
  if (mouths) return { kind: 'mouths' };
  return output === 'jpeg' ? { kind: 'jpeg', quality: jpegQuality } : { kind: 'raw' };
}

function watchOf({ gpuId, workLog }: LiveHandlerTools, job: LiveJob, { span }: JobContext): TaskWatch {
  const place = { kind: 'live', model: job.modelId, gpu: gpuId } as const;
  return new TaskWatch(place, { span, workLog }, { live: job.requestId, request: job.origin?.request });
}

/** As in the receipts of renders. */
function stageTimes({ timings, encodeMs }: LiveResult) {
  const { visualInput, ...stages } = timings;
  return { ...stages, visual_input: visualInput, encode: encodeMs };
}

function summaryOf({ modelWasLoaded, modelLoadMs, timings, encodeMs }: LiveResult) {
  return {
    modelWasLoaded,
    modelLoadMs,
    audioMs: timings.mel + timings.encoder,
    inferenceMs: timings.inference,
    compositeMs: timings.background + timings.visualInput + timings.composite + encodeMs,
  };
}

function reasonOf(reason: unknown): string {
  if (reason instanceof FencedOut) return 'a later attempt has taken over';
  return reason instanceof Error ? reason.message : String(reason);
}
