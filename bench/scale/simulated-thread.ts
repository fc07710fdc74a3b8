import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import sharp from 'sharp';
import type {
  FromPipelineThread,
  LiveTask,
  PipelineThreadSettings,
  ToPipelineThread,
} from '../../worker/engine/thread-protocol.ts';

/**
 * A pipeline thread without a pipeline: it waits as long as a GPU would compute, and gives every frame the same JPEG.
 * `?frameMs=2.5` at the end of its address says how long a frame takes; `?loadMs` how long a model.
 */

const PICTURE = { width: 320, height: 180 };

if (!parentPort) throw new Error('simulated-thread.ts is a thread');
const port = parentPort;
const { models } = (workerData as { settings: PipelineThreadSettings }).settings;
const jpeg = new Uint8Array(
  await sharp({ create: { ...PICTURE, channels: 3, background: '#876' } })
    .jpeg()
    .toBuffer(),
);
const asked = new URL(import.meta.url).searchParams;
const frameMs = Number(asked.get('frameMs') ?? 2.5);
const loadMs = Number(asked.get('loadMs') ?? 100);

const running = new Map<number, AbortController>();
let loaded = new Set<string>();
/** When the GPU has done all that it was given, by performance.now(). */
let busyUntilMs = 0;

const send = (message: FromPipelineThread, handedOver: ArrayBuffer[] = []) => port.postMessage(message, handedOver);

/** Keeps the GPU busy for so long, after what it has to do already. */
async function compute(ms: number, signal: AbortSignal): Promise<void> {
  busyUntilMs = Math.max(busyUntilMs, performance.now()) + ms;
  await delay(Math.max(0, busyUntilMs - performance.now()), undefined, { signal });
}

async function load(modelId: string, signal: AbortSignal): Promise<{ modelWasLoaded: boolean; modelLoadMs: number }> {
  if (loaded.has(modelId)) return { modelWasLoaded: true, modelLoadMs: 0 };
  await compute(loadMs, signal);
  loaded.add(modelId);
  announce();
  return { modelWasLoaded: false, modelLoadMs: loadMs };
}

function announce(): void {
  const state = { loadMs, msPerFrame: frameMs, loadedAtMs: Date.now(), memoryBytes: 300e6, filesHash: 'the same' };
  send({
    type: 'models',
    loaded: new Map([...loaded].map((modelId) => [modelId, state])),
    memory: { usedBytes: 300e6 * loaded.size, hostBytes: 300e6 * loaded.size },
    provider: 'cpu',
    costs: new Map([...loaded].map((modelId) => [modelId, { loadMs, frameMs }])),
  });
}

async function live(taskId: number, task: LiveTask, signal: AbortSignal): Promise<void> {
  const result = await load(task.modelId, signal);
  for (let frameIndex = task.frames.start; frameIndex < task.frames.end; frameIndex++) {
    await compute(frameMs, signal);
    const data = jpeg.slice();
    send({ type: 'frame', taskId, frameIndex, data }, [data.buffer]);
  }
  const timings = { mel: 0, encoder: 0, background: 0, visualInput: 0, composite: 0 };
  const inference = frameMs * (task.frames.end - task.frames.start);
  send({ type: 'live-done', taskId, result: { ...result, timings: { ...timings, inference }, encodeMs: 0 } });
}

async function run(taskId: number, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  running.set(taskId, controller);
  try {
    await work(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    send({ type: 'aborted', taskId });
  } finally {
    running.delete(taskId);
  }
}

port.on('message', (message: ToPipelineThread) => {
  switch (message.type) {
    case 'load':
      void run(message.taskId, async (signal) => {
        const result = await load(message.task.modelId, signal);
        send({ type: 'loaded', taskId: message.taskId, result });
      });
      break;
    case 'live':
      void run(message.taskId, (signal) => live(message.taskId, message.task, signal));
      break;
    case 'render':
      throw new Error('This GPU renders live requests only');
    case 'abort':
      running.get(message.taskId)?.abort();
      break;
    case 'unload':
      loaded.delete(message.modelId);
      announce();
      break;
    case 'configure':
      loaded = new Set([...loaded].filter((modelId) => models.has(modelId)));
      break;
    case 'close':
      port.close();
  }
});
