import { randomUUID } from 'node:crypto';
import { availableParallelism, hostname } from 'node:os';
import type { Config } from '../shared/config/load.ts';
import { startHeartbeat } from '../shared/heartbeat.ts';
import type { LiveJob, SegmentJob } from '../shared/jobs.ts';
import { Lease } from '../shared/lease.ts';
import { enrolGpus, gpuQueue, UNLOAD_CHANNEL } from '../shared/queues.ts';
import { checkAvatarFiles } from './avatar/avatar.ts';
import { EventLoopMonitor } from './event-loop-monitor.ts';
import { deviceName } from './gpu/device-name.ts';
import { ModelUsage } from './gpu/model-usage.ts';
import { PipelineThread } from './gpu/pipeline-thread.ts';
import { segmentHandler } from './gpu/segment-handler.ts';
import { givingAway, SetAsides } from './gpu/set-asides.ts';
import { GpuQueues } from './gpu-queues.ts';
import { liveHandler, liveJobLost } from './live/live-handler.ts';
import { RenderJobs } from './render-jobs.ts';
import type { WorkerTools } from './worker-tools.ts';

/** The process that owns one GPU: its lease, its queue, its pipeline thread. Returns how to drain it. */
export async function startGpuWorker(gpuId: number, config: Config, tools: WorkerTools): Promise<() => Promise<void>> {
  const { connection, subscriber, renders, artifacts, cancellation, log, fail } = tools;
  const workerId = `gpu-${gpuId}-${randomUUID().slice(0, 8)}`;
  const holder = { workerId, host: hostname(), pid: process.pid };
  const lease = new Lease(connection, gpuQueue(gpuId), holder);
  await lease.take((other) => fail(`the lease of gpu-${gpuId} was lost to process ${other.pid} on ${other.host}`));
  await enrolGpus(connection, [gpuId]);

  const thread = new PipelineThread(threadSettings(config), {
    onDeath: (death) => fail(death.message),
    onModels: () => {
      heartbeat.now();
      nameDevice().catch(() => {});
    },
  });
  const problems = await modelProblems(config);
  const usage = new ModelUsage();
  const setAsides = new SetAsides(() => heartbeat.now());
  const monitor = new EventLoopMonitor();
  const startedAtMs = Date.now();
  let device: { readonly provider: string; readonly name: string } | undefined;
  let queues: GpuQueues | undefined;
  const heartbeat = startHeartbeat(connection, workerId, () => ({
    gpuId,
    host: hostname(),
    pid: process.pid,
    startedAtMs,
    provider: thread.provider,
    device: device?.name ?? null,
    models: [...problems].map(([modelId, found]) => ({
      modelId,
      loaded: thread.loadedModels.get(modelId) ?? null,
      problems: found,
      cost: thread.costs.get(modelId) ?? null,
      setAside: setAsides.of(modelId),
      usage: usage.of(modelId),
    })),
    draining: queues?.isOpen === false,
    runningJobs: queues?.runningJobs ?? 0,
    eventLoopBlockedMaxMs: Math.round(monitor.takeMaxMs()),
  }));
  const nameDevice = async () => {
    const { provider } = thread;
    if (!provider || provider === device?.provider) return;
    device = { provider, name: await deviceName(provider) };
    heartbeat.now();
  };
  await heartbeat.first;
  for (const [modelId, found] of problems) {
    if (found.length > 0) log.warn({ model: modelId, problems: found }, 'model cannot be used');
  }
  await preload(config, gpuId, thread, tools);

  const jobs = new RenderJobs(renders, cancellation);
  const segment = segmentHandler({
    gpuId,
    workerId,
    models: config.models,
    thread,
    usage,
    renders,
    artifacts,
    cancellation,
    setAsides,
  });
  const live = liveHandler({ gpuId, models: config.models, thread, usage, redis: connection, cancellation, setAsides });
  const handlers = { segment: givingAway(setAsides, jobs.handler<'segment'>(segment)), live };
  subscriber.on('message', (channel: string, modelId: string) => channel === UNLOAD_CHANNEL && thread.unload(modelId));
  await subscriber.subscribe(UNLOAD_CHANNEL);
  const onLost = (job: SegmentJob | LiveJob) => (job.name === 'live' ? liveJobLost(connection, job) : jobs.lost(job));
  queues = new GpuQueues({
    ...{ gpuId, holder, config, tools, setAsides },
    jobs: { handlers, onLost },
    onChange: () => heartbeat.now(),
  });
  const taking = queues;
  await taking.start();
  return async () => {
    const stopped = taking.stop(config.limits.drain_seconds * 1000);
    heartbeat.now();
    await stopped;
    await thread.close();
    await heartbeat.stop();
    await lease.release();
  };
}

function threadSettings(config: Config) {
  const { intra_op_threads, inter_op_threads, execution_providers } = config.onnx;
  // Threads of all GPU workers of a machine together must not outnumber its cores: that loses a third of the speed.
  const fairShare = Math.max(1, Math.floor(availableParallelism() / config.gpus.count));
  const usable = [...config.models.values()].filter(({ problems }) => problems.length === 0);
  return {
    storageRoot: config.storageRoot,
    models: new Map(usable.map((model) => [model.modelId, model])),
    providers: execution_providers,
    intraOpThreads: intra_op_threads || fairShare,
    interOpThreads: inter_op_threads || 1,
    cachedFrames: config.capacity.background_cache_frames,
    liveBatches: { maxFrames: config.live.max_batch_frames, maxWaitMs: config.live.batch_wait_ms },
  };
}

/** What is wrong with each model as far as its files show without loading it. */
async function modelProblems(config: Config): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const [modelId, model] of config.models) {
    found.set(modelId, model.problems.length > 0 ? [...model.problems] : await checkAvatarFiles(model));
  }
  return found;
}

async function preload(config: Config, gpuId: number, thread: PipelineThread, { log }: WorkerTools): Promise<void> {
  for (const { modelId, preloadModel, preferredGpu } of config.models.values()) {
    if (!preloadModel || (preferredGpu !== undefined && preferredGpu !== gpuId)) continue;
    try {
      await thread.load(modelId, new AbortController().signal);
      log.info({ model: modelId }, 'model preloaded');
    } catch (error) {
      log.warn({ model: modelId, reason: (error as Error).message }, 'model could not be preloaded');
    }
  }
}
