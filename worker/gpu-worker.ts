import { setTimeout as delay } from 'node:timers/promises';
import { storeSettings } from '../shared/artifacts/open.ts';
import type { Config } from '../shared/config/load.ts';
import type { FarmError } from '../shared/errors/farm-error.ts';
import { enrolGpus, gpuQueue, UNLOAD_CHANNEL } from '../shared/jobs/queues.ts';
import type { OnOffer } from '../shared/live/direct/frame-link.ts';
import { WIRE_VERSION } from '../shared/live/direct/wire.ts';
import { VISUAL_FORMS } from '../shared/live/visual-frames.ts';
import { count } from '../shared/metrics/tally.ts';
import { HostModels } from '../shared/model-files/host-models.ts';
import type { Repeated } from '../shared/process/repeat.ts';
import { ignored, logged } from '../shared/process/unheard.ts';
import { type Heartbeat, startHeartbeat } from '../shared/workers/heartbeat.ts';
import { PipelineThread, type ThreadEntries } from './engine/pipeline-thread.ts';
import type { PipelineThreadSettings } from './engine/thread-protocol.ts';
import { EntryHistory } from './gpu/entry-history.ts';
import { FrameChannels } from './gpu/frame-channels.ts';
import { startMemoryRecycle } from './gpu/memory-recycle.ts';
import { ModelClaims } from './gpu/model-claims.ts';
import { ModelUsage } from './gpu/model-usage.ts';
import { startStateLog } from './gpu/state-log.ts';
import { LoadCount } from './gpu/work-counts.ts';
import { modelLimits, WorkerModels } from './gpu/worker-models.ts';
import { gpuJobs } from './gpu-jobs.ts';
import { endAllRuns } from './jobs/unended-runs.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { loadSettings } from './models/load-settings.ts';
import { deviceName } from './onnx/device-name.ts';
import { Blocklist } from './queues/blocklist.ts';
import { GpuQueues } from './queues/gpu-queues.ts';
import { Lease } from './queues/lease.ts';
import { WorkerProcess } from './worker-process.ts';

/** How long jobs that cannot go on may take to say why. */
const LAST_WORDS_MS = 3000;
/** Opening and warming up a network, against the longest time between two signs of progress. */
const LOAD_TAKES_LONGER = 5;

/**
 * The process that owns one GPU: its lease, its queue, its pipeline thread. Returns how to drain it.
 * @param entries what runs in the threads; benchmarks of the farm without its pipeline have others.
 */
export async function startGpuWorker(
  gpuId: number,
  config: Config,
  tools: WorkerTools,
  entries?: ThreadEntries,
): Promise<() => Promise<void>> {
  const self = new WorkerProcess(`gpu-${gpuId}`, tools.host);
  const lease = await takeLease(gpuId, self, tools);
  await enrolGpus(tools.connection, [gpuId]);
  const worker = new GpuWorker(gpuId, config, tools, self, entries);
  await worker.start();
  return async () => {
    await worker.drain();
    await lease.release();
  };
}

async function takeLease(
  gpuId: number,
  { holder }: WorkerProcess,
  { connection, log, fail }: WorkerTools,
): Promise<Lease> {
  const lease = new Lease(connection, gpuQueue(gpuId), holder, log);
  await lease.take(({ pid, host }) => {
    // A Redis that was away for long is why, and not the jobs.
    const end = () => fail(`the lease of gpu-${gpuId} was lost to process ${pid} on ${host}`);
    endAllRuns(connection).then(end, end);
  });
  return lease;
}

class GpuWorker {
  readonly #gpuId: number;
  readonly #config: Config;
  readonly #tools: WorkerTools;
  readonly #self: WorkerProcess;
  readonly #history: EntryHistory;
  readonly #thread: PipelineThread;
  readonly #usage = new ModelUsage();
  readonly #blocklist = new Blocklist(() => this.#beat());
  readonly #claims: ModelClaims;
  readonly #channels: FrameChannels;
  readonly #models: WorkerModels;
  readonly #files: HostModels;
  #heartbeat: ReturnType<typeof startHeartbeat> | undefined;
  #queues: GpuQueues | undefined;
  #care: Repeated | undefined;
  #stopRecycle = async () => {};
  #stopStateLog = async () => {};
  #device: { readonly provider: string; readonly name: string } | undefined;

  constructor(
    gpuId: number,
    config: Config,
    tools: WorkerTools,
    self: WorkerProcess,
    entries: ThreadEntries | undefined,
  ) {
    this.#gpuId = gpuId;
    this.#config = config;
    this.#tools = tools;
    this.#self = self;
    const onOffer: OnOffer = (job, take) => this.#queues?.offer(job, take);
    this.#channels = new FrameChannels(tools.live, tools.log, { workerId: self.workerId, onOffer });
    this.#history = new EntryHistory(config, tools.configReload);
    this.#files = new HostModels(config, tools.log, () => this.#beat());
    const loads = new LoadCount(gpuId);
    const listeners = {
      onDeath: (death: FarmError) => this.#endStuck(death),
      onModels: () => {
        loads.note(this.#thread.models.loaded);
        this.#claims.changed();
        this.#beat();
        this.#nameDevice().catch(logged('could not find the name of the device'));
      },
    };
    this.#thread = new PipelineThread(threadSettings(gpuId, config, this.#history), listeners, entries);
    this.#claims = new ModelClaims({
      ...{ redis: tools.connection, workerId: self.workerId, thread: this.#thread, log: tools.log },
      haveFiles: (key, signal, waitMs) => this.#haveFiles(key, signal, waitMs),
      onChange: () => this.#beat(),
    });
    this.#models = new WorkerModels({
      ...{ config, gpuId, log: tools.log, history: this.#history, thread: this.#thread, usage: this.#usage },
      ...{ blocklist: this.#blocklist, claims: this.#claims, files: this.#files, host: tools.host },
      onChange: () => this.#beat(),
    });
  }

  async start(): Promise<void> {
    await this.#models.check();
    await this.#startHeartbeat();
    this.#tools.configReload.onReload((changes) => this.#models.reconfigure(changes));
    await this.#models.preload(this.#config.models.keys());
    this.#watchMemory();
    await this.#unloadOnRequest();
    await this.#takeJobs();
    this.#logState();
    this.#care = this.#models.startCare();
  }

  async drain(): Promise<void> {
    await Promise.all([this.#stopRecycle(), this.#stopStateLog()]);
    const stopped = this.#queues?.stop(this.#config.limits.drain_seconds * 1000);
    this.#beat();
    await stopped;
    this.#files.stop();
    await Promise.all([this.#care?.stop(), this.#claims.stop()]);
    this.#channels.close();
    await this.#thread.close();
    await this.#heartbeat?.stop();
  }

  async #haveFiles(key: string, signal: AbortSignal, waitMs: number | undefined): Promise<void> {
    const model = this.#history.all().get(key);
    // Of one that is gone the registry says so.
    if (model) await this.#files.ready(model, { signal, waitMs });
  }

  /** Lets the jobs that failed with the pipeline thread say so, and ends this process. */
  #endStuck({ message }: FarmError): void {
    const { fail, log } = this.#tools;
    count('farm_workers_stuck_total', { gpu: this.#gpuId });
    log.error({ reason: message }, 'the work under way fails, and this worker is started again');
    const stopped = this.#queues?.stop(LAST_WORDS_MS).catch(ignored('jobs that cannot say so are found as lost'));
    const end = () => fail(message);
    Promise.race([stopped, delay(LAST_WORDS_MS)]).then(end, end);
  }

  #beat(): void {
    this.#heartbeat?.now();
  }

  async #stateWritten(): Promise<void> {
    await this.#heartbeat?.written();
  }

  async #startHeartbeat(): Promise<void> {
    const { connection, log } = this.#tools;
    this.#heartbeat = startHeartbeat(connection, this.#self.workerId, () => this.#describe(), log);
    await this.#heartbeat.first;
  }

  #describe(): Omit<Heartbeat, 'workerId'> {
    return {
      gpuId: this.#gpuId,
      ...this.#self.describe(),
      provider: this.#thread.models.provider,
      device: this.#device?.name ?? null,
      models: this.#models.states(),
      memory: this.#models.memory(),
      visualForms: Object.keys(VISUAL_FORMS),
      givesMouths: true,
      draining: this.#queues?.isOpen === false,
      runningJobs: this.#queues?.runningJobs ?? 0,
      ...(this.#config.live.frame_channel === 'direct' ? { frameChannel: WIRE_VERSION } : {}),
      silentMs: Math.round(this.#thread.silentMs),
      ownLiveChannels: true,
    };
  }

  /** Asks for the name of the device, once the provider is known. */
  async #nameDevice(): Promise<void> {
    const { provider } = this.#thread.models;
    if (!provider || provider === this.#device?.provider) return;
    this.#device = { provider, name: await deviceName(provider) };
    this.#beat();
  }

  #watchMemory(): void {
    this.#stopRecycle = startMemoryRecycle({
      models: () => this.#thread.models,
      log: this.#tools.log,
      recycle: () => process.kill(process.pid, 'SIGTERM'),
    });
  }

  #logState(): void {
    this.#stopStateLog = startStateLog({
      ...{ config: this.#config, log: this.#tools.log },
      models: () => this.#models.states(),
      memory: () => this.#models.memory(),
      runningJobs: () => this.#queues?.runningJobs ?? 0,
      busyShare: () => this.#thread.takeBusyShare(),
    });
  }

  async #unloadOnRequest(): Promise<void> {
    const { subscriber } = this.#tools;
    subscriber.on('message', (channel: string, modelId: string) => {
      if (channel === UNLOAD_CHANNEL) this.#thread.unload(modelId);
    });
    await subscriber.subscribe(UNLOAD_CHANNEL);
  }

  async #takeJobs(): Promise<void> {
    const parts = {
      ...{ gpuId: this.#gpuId, config: this.#config, tools: this.#tools, thread: this.#thread, usage: this.#usage },
      ...{ blocklist: this.#blocklist, claims: this.#claims, history: this.#history, channels: this.#channels },
    };
    this.#queues = new GpuQueues({
      ...parts,
      holder: this.#self.holder,
      ...gpuJobs({ ...parts, workerId: this.#self.workerId, stateWritten: () => this.#stateWritten() }),
      onChange: () => this.#beat(),
    });
    await this.#queues.start();
  }
}

function threadSettings(gpuId: number, config: Config, history: EntryHistory): PipelineThreadSettings {
  return {
    ...loadSettings(config),
    ...storeSettings(config),
    models: history.all(),
    limits: modelLimits(config),
    log: { processName: `gpu-${gpuId}`, level: config.logging.level },
    stuck: {
      workMs: config.limits.stuck_seconds * 1000,
      loadMs: config.limits.stuck_seconds * 1000 * LOAD_TAKES_LONGER,
    },
    liveBatches: { maxFrames: config.live.max_batch_frames, maxWaitMs: config.live.batch_wait_ms },
  };
}
