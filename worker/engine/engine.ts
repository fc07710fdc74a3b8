import { openArtifacts } from '../../shared/artifacts/open.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { frameMemory } from '../../shared/process/spare-memory.ts';
import { ignored, unexpected } from '../../shared/process/unheard.ts';
import { openFootage } from '../models/footage-model.ts';
import { ModelRegistry } from '../models/model-registry.ts';
import type { ModelUse } from '../models/model-slot.ts';
import { type StageTimingsMs, spansOf } from '../pipeline/stage-timings.ts';
import type { PreparationLog } from '../prepared/prepare-avatar.ts';
import type { FromCompositor, LiveEnd, ToCompositor } from './compositor-protocol.ts';
import { FrameLine } from './frame-line.ts';
import { completing } from './frame-parts.ts';
import { LiveRenderer } from './live-renderer.ts';
import { LastingPools } from './memory-pool.ts';
import { ModelCosts } from './model-costs.ts';
import { renderSegment } from './render-segment.ts';
import type {
  FrameForm,
  FromPipelineThread,
  LiveResult,
  LoadResult,
  PipelineThreadSettings,
  ToPipelineThread,
} from './thread-protocol.ts';
import { Turns } from './turns.ts';

/** How often the thread reports what its models take, also when none was loaded or unloaded. */
const ANNOUNCE_EVERY_MS = 2000;
/** Steps are told to the main thread so often at most: each message wakes it. */
const STEP_EVERY_MS = 200;
/** Of a request with one answer: its frames are of use together only. */
const GROUP_BYTES = 128 * 1024;
/** Of mouths that went into no picture, kept for later ones: six of 320². */
const KEPT_MOUTH_BYTES = 8 * 2 ** 20;

type Task = Extract<ToPipelineThread, { type: 'render' | 'live' | 'load' }>;
type RenderTask = Extract<Task, { type: 'render' }>;
type LiveTask = Extract<Task, { type: 'live' }>;

export interface EngineListeners {
  /** Told how far the preparation of avatars is. */
  readonly log: PreparationLog;
  /** @param handedOver buffers that are transferred to the receiver. */
  readonly send: (message: FromPipelineThread, handedOver?: ArrayBuffer[]) => void;
  readonly toCompositor: (message: ToCompositor) => void;
  /** Told when everything has ended after `close`. */
  readonly onClosed: () => void;
}

/**
 * Owns this GPU's models and does all the computing. Segments come one after the other; live tasks and loads run beside
 * them, and all take turns at the network, batch by batch.
 */
export class Engine {
  readonly #listeners: EngineListeners;
  readonly #artifacts: ArtifactStore;
  readonly #registry: ModelRegistry;
  readonly #turns: Turns;
  readonly #line: FrameLine;
  readonly #liveRenderer: LiveRenderer;
  readonly #livePools = new LastingPools();
  readonly #segmentPools = new LastingPools();
  readonly #mouthMemory = frameMemory(KEPT_MOUTH_BYTES);
  readonly #costs: ModelCosts;
  readonly #announcer: NodeJS.Timeout;
  /** Tasks that have not ended, by id. */
  readonly #running = new Map<number, AbortController>();
  /** Live tasks and loads: they run side by side. */
  readonly #shortTasks = new Set<Promise<void>>();
  /** Ends when all segments so far have ended: they run one after the other. */
  #segments: Promise<void> = Promise.resolve();
  #stepToldAtMs = Number.NEGATIVE_INFINITY;
  /** Execution provider of the model that was loaded last. */
  #provider: string | null = null;

  constructor(settings: PipelineThreadSettings, listeners: EngineListeners) {
    this.#listeners = listeners;
    this.#artifacts = openArtifacts(settings);
    this.#turns = new Turns(() => this.#tellStep());
    this.#registry = new ModelRegistry({
      ...settings,
      log: listeners.log,
      onChange: (loaded) => {
        this.#provider = loaded?.provider.provider ?? this.#provider;
        this.#announce();
      },
      onLoading: (loading) => listeners.send({ type: 'loading', loading }),
    });
    this.#line = new FrameLine(listeners.toCompositor);
    this.#liveRenderer = new LiveRenderer(this.#turns, settings.liveBatches);
    this.#costs = new ModelCosts(this.#turns, () => this.#announce());
    this.#announcer = setInterval(() => this.#announce(), ANNOUNCE_EVERY_MS);
  }

  /** Does what the main thread asks; answers come through `send`. */
  receive(message: ToPipelineThread): void {
    switch (message.type) {
      case 'render':
      case 'live':
      case 'load':
        this.#start(message);
        break;
      case 'abort':
        this.#running.get(message.taskId)?.abort();
        break;
      case 'take-back':
        this.#mouthMemory.giveBack(message.memory);
        break;
      case 'unload':
        this.#registry.unload(message.modelId);
        break;
      case 'configure':
        this.#registry.configure(message.models).catch(unexpected);
        break;
      case 'close':
        this.#close().catch(unexpected);
    }
  }

  /** Takes what the compositor thread tells. */
  hear(message: FromCompositor): void {
    this.#line.receive(message);
  }

  #start(task: Task): void {
    const controller = new AbortController();
    this.#running.set(task.taskId, controller);
    const run = () => this.#run(task, controller.signal);
    if (task.type === 'render') {
      this.#segments = this.#segments.then(run);
      return;
    }
    const ended = run().finally(() => this.#shortTasks.delete(ended));
    this.#shortTasks.add(ended);
  }

  /** Runs a task and sends how it ended, unless the compositor does. */
  async #run(task: Task, signal: AbortSignal): Promise<void> {
    const { taskId } = task;
    try {
      signal.throwIfAborted();
      const end = await this.#resultOf(task, signal);
      if (end) this.#listeners.send(end);
    } catch (error) {
      if (signal.aborted) this.#listeners.send({ type: 'aborted', taskId });
      else
        this.#listeners.send({ type: 'failed', taskId, error: FarmError.from(error, 'inference_failed').toReport() });
    } finally {
      this.#running.delete(taskId);
    }
  }

  async #resultOf(task: Task, signal: AbortSignal): Promise<FromPipelineThread | undefined> {
    using use = await this.#takeModel(task, signal);
    if (!use.wasLoaded) await this.#costs.measureOnce(use.model);
    switch (task.type) {
      case 'load':
        return { type: 'loaded', taskId: task.taskId, result: loadResult(use) };
      case 'live':
        return await this.#makeLive(task, use, signal);
      case 'render':
        return await this.#renderSegment(task, use, signal);
    }
  }

  async #takeModel({ type, task }: Task, signal: AbortSignal): Promise<ModelUse> {
    if (type === 'render') return await this.#registry.use(task.modelId, { kind: 'segment', signal });
    return await this.#registry.use(task.modelId, { kind: type, signal, waitMs: task.waitMs });
  }

  /** Mouths that go into no picture need no compositor: what a task with frames ends with comes from there. */
  async #makeLive({ taskId, task }: LiveTask, use: ModelUse, signal: AbortSignal): Promise<LiveEnd | undefined> {
    const { form } = task;
    if (form.kind !== 'mouths') {
      await this.#renderLive(taskId, { ...task, form }, use, signal);
      return undefined;
    }
    const done = await this.#liveRenderer.renderBare(task, use.model, signal, ({ frameIndex, mouth, memory }) => {
      const data = this.#mouthMemory.take(mouth.length);
      data.set(mouth);
      memory.release();
      this.#listeners.send({ type: 'frames', taskId, frames: [{ frameIndex, data }] }, [data.buffer]);
    });
    const result = { ...loadResult(use), ...done, encodeMs: 0, ...tracedSpans(done.timings) };
    return { type: 'live-done', taskId, result };
  }

  async #renderLive(
    taskId: number,
    task: LiveTask['task'] & { readonly form: FrameForm },
    use: ModelUse,
    signal: AbortSignal,
  ): Promise<void> {
    const groupBytes = task.streamId === undefined ? GROUP_BYTES : 0;
    const frames = { kind: 'live', form: task.form, groupBytes } as const;
    const output = this.#line.open(taskId, frames);
    const wanted = AbortSignal.any([signal, output.broken]);
    const complete = completing(frames, use.model, this.#livePools, wanted);
    try {
      const done = await this.#liveRenderer.render(task, use.model, wanted, (frame) => output.write(complete(frame)));
      await output.whenSent();
      const result = { ...loadResult(use), ...done, encodeMs: 0, ...tracedSpans(done.timings) };
      const end: LiveEnd = { type: 'live-done', taskId, result };
      output.close(end).catch(ignored('the compositor tells the main thread'));
    } catch (error) {
      await output.abandon();
      throw error;
    }
  }

  async #renderSegment(
    { taskId, task }: RenderTask,
    { model }: ModelUse,
    signal: AbortSignal,
  ): Promise<FromPipelineThread> {
    const tools = {
      artifacts: this.#artifacts,
      line: this.#line,
      turns: this.#turns,
      pools: this.#segmentPools,
      signal,
    };
    if (task.ownFootage) {
      await using footage = await openFootage(model, this.#artifacts, task.renderId);
      return { type: 'rendered', taskId, result: await renderSegment(taskId, task, footage, tools) };
    }
    const result = await renderSegment(taskId, task, model, tools);
    // Frames in silence say nothing of what the network takes.
    if (!result.silence?.spared) this.#costs.notePace(model.modelId, task.frames, result.wall_ms);
    return { type: 'rendered', taskId, result };
  }

  #tellStep(): void {
    const now = performance.now();
    if (now - this.#stepToldAtMs < STEP_EVERY_MS) return;
    this.#stepToldAtMs = now;
    this.#listeners.send({ type: 'step' });
  }

  #announce(): void {
    const loaded = this.#registry.loaded();
    const memory = this.#registry.memory();
    this.#listeners.send({ type: 'models', loaded, memory, provider: this.#provider, costs: this.#costs.all });
  }

  /** Aborts what runs, waits for its end, and unloads the models. */
  async #close(): Promise<void> {
    for (const controller of this.#running.values()) controller.abort();
    await Promise.all([this.#segments, ...this.#shortTasks]);
    clearInterval(this.#announcer);
    await this.#registry.close();
    this.#line.end();
    this.#listeners.onClosed();
  }
}

function loadResult({ wasLoaded, waitedMs }: ModelUse): LoadResult {
  return { modelWasLoaded: wasLoaded, modelLoadMs: waitedMs };
}

/** When its stages ran, of a task that is traced. */
function tracedSpans(timings: StageTimingsMs): Pick<LiveResult, 'spans'> {
  const spans = spansOf(timings);
  return spans ? { spans } : {};
}
