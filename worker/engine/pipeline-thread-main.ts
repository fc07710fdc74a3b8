import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { LocalArtifacts } from '../../shared/artifacts.ts';
import { FarmError } from '../../shared/errors.ts';
import { encodeJpeg } from '../media/jpeg.ts';
import { ModelRegistry } from '../models/model-registry.ts';
import type { ModelUse } from '../models/model-slot.ts';
import type { RgbImage } from '../pipeline/contract.ts';
import type { RenderedFrame } from '../pipeline/render-frames.ts';
import { FrameBuffers } from './frame-buffers.ts';
import { LiveRenderer } from './live-renderer.ts';
import { ModelCosts } from './model-costs.ts';
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
  limits: settings.limits,
  onChange: (loaded) => {
    provider = loaded?.provider.provider ?? provider;
    announce();
  },
});
/** Of the picture that shows how far a render is. */
const PREVIEW_JPEG_QUALITY = 60;
/** How often it is said what the models take, also when none has come or gone. */
const ANNOUNCE_EVERY_MS = 2000;

type Task = Extract<ToPipelineThread, { type: 'render' | 'live' | 'load' }>;

const turns = new Turns();
const buffers = new FrameBuffers();
const liveRenderer = new LiveRenderer(turns, settings.liveBatches, (byteLength) => buffers.take(byteLength));
const running = new Map<number, AbortController>();
let provider: string | null = null;
const costs = new ModelCosts(turns, announce);
/** Live tasks and loads: they run side by side. */
const shortTasks = new Set<Promise<void>>();
const announcer = setInterval(announce, ANNOUNCE_EVERY_MS);
let lastTask: Promise<void> = Promise.resolve();

parentPort?.on('message', (message: ToPipelineThread) => {
  switch (message.type) {
    case 'abort':
      running.get(message.taskId)?.abort();
      break;
    case 'give-back':
      buffers.giveBack(message.pixels);
      break;
    case 'unload':
      registry.unload(message.modelId);
      break;
    case 'configure':
      void registry.configure(message.models);
      break;
    case 'close':
      for (const controller of running.values()) controller.abort();
      lastTask = Promise.all([lastTask, ...shortTasks]).then(close);
      break;
    case 'live':
    case 'load': {
      running.set(message.taskId, new AbortController());
      const task = perform(message).finally(() => shortTasks.delete(task));
      shortTasks.add(task);
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
  using use = await takeModel(message, signal);
  const { model } = use;
  const load = { modelWasLoaded: use.wasLoaded, modelLoadMs: use.waitedMs };
  if (!use.wasLoaded) await costs.measured(model);
  switch (message.type) {
    case 'load':
      return { type: 'loaded', taskId, result: load };
    case 'live': {
      const onFrame = ({ frameIndex, image }: RenderedFrame) =>
        send({ type: 'frame', taskId, frameIndex, image }, [image.data.buffer as ArrayBuffer]);
      const timings = await liveRenderer.render(message.task, model, signal, onFrame);
      return { type: 'live-done', taskId, result: { ...load, timings } };
    }
    case 'render': {
      const onProgress = (framesDone: number, latest: RgbImage) =>
        void encodeJpeg(latest, PREVIEW_JPEG_QUALITY).then(
          (latestJpeg) => send({ type: 'progress', taskId, framesDone, latestJpeg }),
          () => {},
        );
      const result = await renderSegment(message.task, model, { artifacts, turns, signal, onProgress });
      costs.notePace(model.modelId, message.task.frames, result.wall_ms);
      return { type: 'rendered', taskId, result };
    }
  }
}

async function takeModel({ type, task }: Task, signal: AbortSignal): Promise<ModelUse> {
  if (type === 'render') return await registry.use(task.modelId, { kind: 'segment', signal });
  return await registry.use(task.modelId, { kind: type, signal, untilMs: task.waitUntilMs });
}

function announce(): void {
  send({ type: 'models', loaded: registry.loaded(), memory: registry.memory(), provider, costs: costs.all });
}

async function close(): Promise<void> {
  clearInterval(announcer);
  await registry.close();
  parentPort?.close();
}

function send(message: FromPipelineThread, handedOver: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, handedOver);
}
