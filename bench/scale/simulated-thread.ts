import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import type {
  FromPipelineThread,
  LiveTask,
  PipelineThreadSettings,
  SegmentTask,
  ToPipelineThread,
} from '../../worker/engine/thread-protocol.ts';

/**
 * A pipeline thread without a pipeline: it waits as long as a GPU would compute, and gives every frame the same bytes.
 * `?frameMs=2.5` at the end of its address says how long a frame takes; `?loadMs` how long a model.
 */

/** As many bytes as a JPEG of 1280×720 takes; nobody looks into it on its way. */
const jpeg = new Uint8Array(55_000).map((_, index) => (index * 7919) % 251);

if (!parentPort) throw new Error('simulated-thread.ts is a thread');
const port = parentPort;
const { models } = (workerData as { settings: PipelineThreadSettings }).settings;
const asked = new URL(import.meta.url).searchParams;
const frameMs = Number(asked.get('frameMs') ?? 2.5);
const loadMs = Number(asked.get('loadMs') ?? 100);

const running = new Map<number, AbortController>();
let loaded = new Set<string>();
/** When the GPU has done all that it was given, by performance.now(). */
let busyUntilMs = 0;

const send = (message: FromPipelineThread, handedOver: ArrayBuffer[] = []) => port.postMessage(message, handedOver);

/** Work that the GPU is given now: it begins when all before it is done. */
function begin(): void {
  busyUntilMs = Math.max(busyUntilMs, performance.now());
}

/** Keeps the GPU busy for so long. It goes on while this thread waits for its turn, so a timer's lateness does not add up. */
async function compute(ms: number, signal: AbortSignal): Promise<void> {
  busyUntilMs += ms;
  const leftMs = busyUntilMs - performance.now();
  if (leftMs > 0) await delay(leftMs, undefined, { signal });
  else await nextTurn(undefined, { signal });
}

async function load(modelId: string, signal: AbortSignal): Promise<{ modelWasLoaded: boolean; modelLoadMs: number }> {
  begin();
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
    send({ type: 'frames', taskId, frames: [{ frameIndex, data }] }, [data.buffer]);
  }
  const timings = { mel: 0, encoder: 0, background: 0, visualInput: 0, composite: 0 };
  const inference = frameMs * (task.frames.end - task.frames.start);
  send({ type: 'live-done', taskId, result: { ...result, timings: { ...timings, inference }, encodeMs: 0 } });
}

/** Writes no files: a render to pictures that nobody asks for does not need them. */
async function render(taskId: number, task: SegmentTask, signal: AbortSignal): Promise<void> {
  const startedAt = performance.now();
  await load(task.modelId, signal);
  const frames = task.frames.end - task.frames.start;
  for (let done = 0; done < frames; done += task.batchFrames) {
    await compute(frameMs * Math.min(task.batchFrames, frames - done), signal);
  }
  const work = { mel: 0, encoder: 0, background: 0, visual_input: 0, composite: 0, encode: 0 };
  const timings = { ...work, inference: frames * frameMs };
  const result = { provider: 'cpu', width: 1280, height: 720, wall_ms: performance.now() - startedAt };
  send({ type: 'rendered', taskId, result: { ...result, timings_ms: timings, model_files: [] } });
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
      void run(message.taskId, (signal) => render(message.taskId, message.task, signal));
      break;
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
