import '../onnx/telemetry-off.ts';
import type { EventLoopUtilization } from 'node:perf_hooks';
import { isDeepStrictEqual } from 'node:util';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { ModelConfig } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type {
  FromPipelineThread,
  LiveResult,
  LiveTask,
  LoadResult,
  LoadTask,
  PipelineThreadSettings,
  SegmentResult,
  SegmentTask,
  ThreadModels,
  ToPipelineThread,
} from './thread-protocol.ts';
import { ThreadWatch } from './thread-watch.ts';

/** What the thread sends while a task runs, and what it sends at the task's end. */
type TaskReport = Extract<FromPipelineThread, { type: 'progress' | 'frames' }>;
type TaskEnd = Extract<FromPipelineThread, { type: 'rendered' | 'live-done' | 'loaded' }>;
type EndType = TaskEnd['type'];

interface PendingTask {
  readonly onReport: (report: TaskReport) => void;
  readonly settle: PromiseWithResolvers<TaskEnd>;
}

interface Request {
  readonly message: (taskId: number) => ToPipelineThread;
  /** Buffers that are transferred to the thread. */
  readonly handedOver?: ArrayBuffer[];
  readonly onReport?: (report: TaskReport) => void;
}

export interface ThreadListeners {
  /**
   * The thread ended without having been closed, or is stuck: nothing more can be rendered in this process. What it
   * worked on fails with the same cause.
   */
  readonly onDeath: (cause: FarmError) => void;
  /** A model was loaded or unloaded, or measured. */
  readonly onModels: () => void;
}

/** What runs in the threads. */
export interface ThreadEntries {
  readonly pipeline: URL;
  /** Absent where the other needs none: it sends finished frames itself. */
  readonly compositor?: URL;
}

/**
 * A thread's new objects are few and small, and live for a frame. V8 would let them take 48 MB in each thread before it
 * clears them away.
 */
const HEAP_LIMITS = { maxYoungGenerationSizeMb: 6 };

const ENTRIES = {
  pipeline: new URL('./pipeline-thread-main.ts', import.meta.url),
  compositor: new URL('./compositor-thread-main.ts', import.meta.url),
};

/** A finished frame of a live request, in its form; the bytes are the receiver's own. */
export interface LiveFrame {
  readonly frameIndex: number;
  readonly data: Uint8Array<ArrayBuffer>;
  /** Call it when nobody reads the bytes any more: their memory serves a later frame, and is gone from here. */
  readonly giveBack: () => void;
}

/**
 * The main thread's end of the two threads that compute: the pipeline thread, and the compositor thread, which puts
 * together and writes the frames whose mouths the former makes.
 */
export class PipelineThread {
  readonly #pipeline: Worker;
  readonly #compositor: Worker | undefined;
  readonly #threads: Worker[] = [];
  readonly #pending = new Map<number, PendingTask>();
  readonly #exited: Promise<unknown>;
  readonly #listeners: ThreadListeners;
  readonly #watch: ThreadWatch;
  #lastTaskId = 0;
  #lastUtilization: EventLoopUtilization = { idle: 0, active: 0, utilization: 0 };
  /** Why no task can be done any more. */
  #death: FarmError | undefined;
  #closing = false;
  #models: ThreadModels = {
    loaded: new Map(),
    memory: { usedBytes: 0, hostBytes: 0 },
    provider: null,
    costs: new Map(),
  };

  /** @param entries what runs in the threads; tests of threads that fail have others. */
  constructor(settings: PipelineThreadSettings, listeners: ThreadListeners, entries: ThreadEntries = ENTRIES) {
    this.#listeners = listeners;
    const { port1, port2 } = new MessageChannel();
    this.#pipeline = this.#start('pipeline', entries.pipeline, { settings, compositor: port1 }, port1);
    this.#threads.push(this.#pipeline);
    if (entries.compositor) {
      this.#compositor = this.#start('compositor', entries.compositor, { settings, pipeline: port2 }, port2);
      this.#threads.push(this.#compositor);
    }
    this.#exited = Promise.all(this.#threads.map(exitOf));
    this.#watch = new ThreadWatch(
      settings.stuck,
      () => this.#pending.size > 0,
      (silentMs) => this.#die('pipeline', `has made no progress for ${silentMs / 1000} s`),
    );
  }

  /** What is in memory, as the thread last reported. */
  get models(): ThreadModels {
    return this.#models;
  }

  /** Part of the time since the last call in which the pipeline thread worked, 0 to 1. */
  takeBusyShare(): number {
    const now = this.#pipeline.performance.eventLoopUtilization();
    const { utilization } = this.#pipeline.performance.eventLoopUtilization(now, this.#lastUtilization);
    this.#lastUtilization = now;
    return utilization;
  }

  /** Milliseconds since the last sign of progress; 0 without work, and while a model is loaded. */
  get silentMs(): number {
    return this.#watch.silentMs;
  }

  /** Renders a segment; rejects with `signal.reason` once the batch that runs at the abort is over. */
  async render(
    task: SegmentTask,
    signal: AbortSignal,
    onProgress: (framesDone: number, latestJpeg: Uint8Array) => void,
  ): Promise<SegmentResult> {
    const { result } = await this.#ask('rendered', signal, {
      message: (taskId) => ({ type: 'render', taskId, task }),
      onReport: (report) => report.type === 'progress' && onProgress(report.framesDone, report.latestJpeg),
    });
    return result;
  }

  /**
   * Makes the frames of a live request, between the batches of other tasks; `onFrames` gets them in order, those of a
   * stream one by one, others in groups. The task's bytes are transferred, so this thread cannot read them afterwards: each must be the only view of its buffer.
   * Rejects with `signal.reason` once the batch that runs at the abort is over.
   */
  async live(task: LiveTask, signal: AbortSignal, onFrames: (frames: LiveFrame[]) => void): Promise<LiveResult> {
    const giveBack = (memory: ArrayBuffer) => {
      if (task.form.kind === 'mouths') this.#send({ type: 'take-back', memory }, [memory]);
      else this.#compositor?.postMessage(memory, [memory]);
    };
    const { result } = await this.#ask('live-done', signal, {
      message: (taskId) => ({ type: 'live', taskId, task }),
      handedOver: [task.audio, task.visualFrames, task.audioFeatures].map(({ buffer }) => buffer as ArrayBuffer),
      onReport: (report) => {
        if (report.type !== 'frames') return;
        onFrames(report.frames.map((frame) => ({ ...frame, giveBack: () => giveBack(frame.data.buffer) })));
      },
    });
    return result;
  }

  /** Loads a model; it stays in memory until another one needs the room. */
  async load(task: LoadTask, signal: AbortSignal): Promise<LoadResult> {
    return (await this.#ask('loaded', signal, { message: (taskId) => ({ type: 'load', taskId, task }) })).result;
  }

  /** Frees a model's memory as soon as no task uses it; does nothing when it is not loaded. */
  unload(modelId: string): void {
    this.#send({ type: 'unload', modelId });
  }

  /** Replaces the configured models; those whose entries or files have changed are unloaded once no task uses them. */
  configure(models: ReadonlyMap<string, ModelConfig>): void {
    this.#send({ type: 'configure', models });
  }

  /** Ends the thread after the run in progress: stopping a thread in the middle of a run ends the whole process. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#send({ type: 'close' });
    await this.#exited;
    this.#watch.stop();
  }

  async #ask<T extends EndType>(
    end: T,
    signal: AbortSignal,
    { message, handedOver = [], onReport = () => {} }: Request,
  ): Promise<Extract<TaskEnd, { type: T }>> {
    signal.throwIfAborted();
    if (this.#death) throw this.#death;
    const taskId = ++this.#lastTaskId;
    const settle = Promise.withResolvers<TaskEnd>();
    this.#pending.set(taskId, { onReport, settle });
    const abort = () => this.#send({ type: 'abort', taskId });
    signal.addEventListener('abort', abort, { once: true });
    this.#send(message(taskId), handedOver);
    try {
      const ended = await settle.promise;
      if (ended.type !== end) throw new FarmError('internal', `The pipeline thread ended a task as ${ended.type}`);
      return ended as Extract<TaskEnd, { type: T }>;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #send(message: ToPipelineThread, handedOver: ArrayBuffer[] = []): void {
    this.#pipeline.postMessage(message, handedOver);
  }

  #start(name: keyof ThreadEntries, entry: URL, workerData: object, port: MessagePort): Worker {
    const thread = new Worker(entry, { workerData, transferList: [port], resourceLimits: HEAP_LIMITS });
    thread.on('message', (message: FromPipelineThread) => this.#receive(message));
    thread.on('error', (error) => this.#die(name, `died: ${error.message}`, error));
    thread.on('exit', (exitCode) => this.#die(name, `ended by itself, with exit code ${exitCode}`));
    return thread;
  }

  /** Fails what is under way, and says so once. */
  #die(name: keyof ThreadEntries, how: string, cause?: Error): void {
    if (this.#death || this.#closing) return;
    this.#watch.stop();
    // The one that still runs must not keep the process.
    for (const thread of this.#threads) thread.unref();
    const death = new FarmError('worker_stuck', `The ${name} thread ${how}`, { cause });
    this.#death = death;
    for (const { settle } of this.#pending.values()) settle.reject(death);
    this.#pending.clear();
    this.#listeners.onDeath(death);
  }

  #receive(message: FromPipelineThread): void {
    if (message.type === 'loading') {
      this.#watch.load(message.loading);
      return;
    }
    if (message.type !== 'models') this.#watch.step();
    if (message.type === 'step') return;
    if (message.type === 'models') {
      const changed = !isDeepStrictEqual(loadsAndCosts(this.#models), loadsAndCosts(message));
      this.#models = message;
      if (changed) this.#listeners.onModels();
      return;
    }
    const task = this.#pending.get(message.taskId);
    if (message.type === 'progress' || message.type === 'frames') {
      task?.onReport(message);
      return;
    }
    this.#pending.delete(message.taskId);
    if (message.type === 'live-done' && message.frames?.length)
      task?.onReport({ type: 'frames', taskId: message.taskId, frames: message.frames });
    if (message.type === 'failed') task?.settle.reject(FarmError.fromReport(message.error));
    else if (message.type !== 'aborted') task?.settle.resolve(message);
    else task?.settle.reject(new FarmError('internal', 'The pipeline thread aborted a task that nobody had aborted'));
  }
}

function exitOf(thread: Worker): Promise<void> {
  return new Promise((resolve) => thread.once('exit', () => resolve()));
}

/** The part whose changes the listener is told of. The models' memory is left out: it changes all the time. */
function loadsAndCosts({ loaded, costs }: ThreadModels) {
  return { loadedAtMs: [...loaded].map(([modelId, { loadedAtMs }]) => [modelId, loadedAtMs]), costs };
}
