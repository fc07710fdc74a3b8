import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { LocalArtifacts } from '../../shared/artifacts.ts';
import { FarmError } from '../../shared/errors.ts';
import type { ModelCost } from '../../shared/heartbeat.ts';
import { encodeJpeg } from '../media/jpeg.ts';
import type { IndexRange, RgbImage } from '../pipeline/contract.ts';
import type { RenderedFrame } from '../pipeline/pipeline.ts';
import { measureFrameMs } from './frame-cost.ts';
import { IdleUnloads } from './idle-unloads.ts';
import { LiveRenderer } from './live-renderer.ts';
import type { LoadedModel } from './loaded-model.ts';
import { ModelRegistry } from './model-registry.ts';
import { renderSegment } from './render-segment.ts';
import type { FromPipelineThread, PipelineThreadSettings, ToPipelineThread } from './thread-protocol.ts';
import { Turns } from './turns.ts';

/**
 * Entry of the pipeline thread: owns this GPU's models and does all the computing. Segments come one after the other;
 * live tasks run beside them and take turns at the network, batch by batch.
 */

/** On Linux this lowers the calling thread alone, and what it starts: ONNX Runtime's threads and ffmpeg. */
const NICENESS = 5;
// The thread that talks to Redis must get a core at once when it has something to do, however busy the machine is.
if (process.platform === 'linux') setPriority(NICENESS);

const settings = workerData as PipelineThreadSettings;
const artifacts = new LocalArtifacts(settings.storageRoot);
const registry = new ModelRegistry({
  models: settings.models,
  providers: settings.providers,
  threads: { intraOp: settings.intraOpThreads, interOp: settings.interOpThreads },
  cachedFrames: settings.cachedFrames,
});
/** Of the picture that shows how far a render is. */
const PREVIEW_JPEG_QUALITY = 60;
/** Fewer frames say little about the pace: their start and end count too much. */
const PACE_FRAMES = 10;

type Task = Extract<ToPipelineThread, { type: 'render' | 'live' | 'load' }>;

const turns = new Turns();
const liveRenderer = new LiveRenderer(turns, settings.liveBatches);
const running = new Map<number, AbortController>();
const unloads = new IdleUnloads((modelId) => registry.unload(modelId).then(announce));
let provider: string | null = null;
const costs = new Map<string, ModelCost>();
const measuring = new WeakMap<LoadedModel, Promise<void>>();
const liveTasks = new Set<Promise<void>>();
let lastTask: Promise<void> = Promise.resolve();

parentPort?.on('message', (message: ToPipelineThread) => {
  switch (message.type) {
    case 'abort':
      running.get(message.taskId)?.abort();
      break;
    case 'unload':
      unloads.want(message.modelId);
      break;
    case 'close':
      for (const controller of running.values()) controller.abort();
      lastTask = Promise.all([lastTask, ...liveTasks]).then(close);
      break;
    case 'live': {
      running.set(message.taskId, new AbortController());
      const live = perform(message).finally(() => liveTasks.delete(live));
      liveTasks.add(live);
      break;
    }
    default:
      running.set(message.taskId, new AbortController());
      lastTask = lastTask.then(() => perform(message));
  }
});

async function perform(message: Task): Promise<void> {
  const { taskId } = message;
  const signal = running.get(taskId)?.signal ?? AbortSignal.abort();
  try {
    signal.throwIfAborted();
    send(await resultOf(message, signal));
  } catch (error) {
    if (signal.aborted) send({ type: 'aborted', taskId });
    else send({ type: 'failed', taskId, error: FarmError.from(error, 'inference_failed').toReport() });
  } finally {
    running.delete(taskId);
  }
}

async function resultOf(message: Task, signal: AbortSignal): Promise<FromPipelineThread> {
  const { taskId } = message;
  const modelId = message.type === 'load' ? message.modelId : message.task.modelId;
  using _use = unloads.use(modelId);
  const modelWasLoaded = registry.isLoaded(modelId);
  const askedAt = performance.now();
  const model = await registry.load(modelId);
  const modelLoadMs = modelWasLoaded ? 0 : performance.now() - askedAt;
  provider = model.provider.provider;
  if (!modelWasLoaded) {
    announce();
    await measured(model);
  }
  switch (message.type) {
    case 'load':
      return { type: 'loaded', taskId };
    case 'live': {
      const onFrame = ({ frameIndex, image }: RenderedFrame) =>
        send({ type: 'frame', taskId, frameIndex, image }, [image.data.buffer as ArrayBuffer]);
      const timings = await liveRenderer.render(message.task, model, signal, onFrame);
      return { type: 'live-done', taskId, result: { modelWasLoaded, modelLoadMs, timings } };
    }
    case 'render': {
      const onProgress = (framesDone: number, latest: RgbImage) =>
        void encodeJpeg(latest, PREVIEW_JPEG_QUALITY).then(
          (latestJpeg) => send({ type: 'progress', taskId, framesDone, latestJpeg }),
          () => {},
        );
      const result = await renderSegment(message.task, model, { artifacts, turns, signal, onProgress });
      notePace(modelId, message.task.frames, result.wall_ms);
      return { type: 'rendered', taskId, result };
    }
  }
}

function announce(): void {
  send({ type: 'models', loaded: registry.loaded(), provider, costs });
}

/** Measures what a model costs, once each time it is loaded. Waits for that, as work beside it would spoil the figure. */
function measured(model: LoadedModel): Promise<void> {
  const known = measuring.get(model) ?? measure(model);
  measuring.set(model, known);
  return known;
}

async function measure(model: LoadedModel): Promise<void> {
  try {
    const frameMs = await turns.run('live', new AbortController().signal, () => measureFrameMs(model));
    costs.set(model.modelId, { loadMs: model.loadMs, frameMs });
    announce();
  } catch {
    // What is wrong with the model will be said of the first job that it fails.
  }
}

/** A segment that went faster than the measurement shows that this was disturbed. */
function notePace(modelId: string, { start, end }: IndexRange, wallMs: number): void {
  const known = costs.get(modelId);
  const frameMs = wallMs / (end - start);
  if (!known || end - start < PACE_FRAMES || frameMs >= known.frameMs) return;
  costs.set(modelId, { ...known, frameMs });
  announce();
}

async function close(): Promise<void> {
  await registry.close();
  parentPort?.close();
}

function send(message: FromPipelineThread, handedOver: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, handedOver);
}
