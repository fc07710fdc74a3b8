import { randomUUID } from 'node:crypto';
import { availableParallelism, hostname } from 'node:os';
import type { Config } from '../shared/config/load.ts';
import { startHeartbeat } from '../shared/heartbeat.ts';
import type { LiveJob, SegmentJob } from '../shared/jobs.ts';
import { enrolGpus, gpuQueue, UNLOAD_CHANNEL } from '../shared/queues.ts';
import { PipelineThread } from './engine/pipeline-thread.ts';
import { EventLoopMonitor } from './event-loop-monitor.ts';
import { EntryHistory } from './gpu/entry-history.ts';
import { liveHandler, liveJobLost } from './gpu/live-handler.ts';
import { startMemoryRecycle } from './gpu/memory-recycle.ts';
import { ModelUsage } from './gpu/model-usage.ts';
import { segmentHandler } from './gpu/segment-handler.ts';
import { modelLimits, WorkerModels } from './gpu/worker-models.ts';
import { RenderJobs } from './jobs/render-jobs.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { deviceName } from './onnx/device-name.ts';
import { Blocklist, givingAway } from './queues/blocklist.ts';
import { GpuQueues } from './queues/gpu-queues.ts';
import { Lease } from './queues/lease.ts';

/** The process that owns one GPU: its lease, its queue, its pipeline thread. Returns how to drain it. */
export async function startGpuWorker(gpuId: number, config: Config, tools: WorkerTools): Promise<() => Promise<void>> {
  const { connection, subscriber, renders, artifacts, cancellation, configReload, log, fail } = tools;
  const workerId = `gpu-${gpuId}-${randomUUID().slice(0, 8)}`;
  const holder = { workerId, host: hostname(), pid: process.pid };
  const lease = new Lease(connection, gpuQueue(gpuId), holder);
  await lease.take((other) => fail(`the lease of gpu-${gpuId} was lost to process ${other.pid} on ${other.host}`));
  await enrolGpus(connection, [gpuId]);

  const history = new EntryHistory(config, configReload);
  const thread = new PipelineThread(threadSettings(config, history), {
    onDeath: (death) => fail(death.message),
    onModels: () => {
      heartbeat.now();
      nameDevice().catch(() => {});
    },
  });
  const usage = new ModelUsage();
  const onChange = () => heartbeat.now();
  const blocklist = new Blocklist(onChange);
  const models = new WorkerModels({ config, history, gpuId, thread, usage, blocklist, log, onChange });
  await models.check();
  const monitor = new EventLoopMonitor();
  const startedAtMs = Date.now();
  let device: { readonly provider: string; readonly name: string } | undefined;
  let queues: GpuQueues | undefined;
  const heartbeat = startHeartbeat(connection, workerId, () => ({
    gpuId,
    host: hostname(),
    pid: process.pid,
    startedAtMs,
    provider: thread.models.provider,
    device: device?.name ?? null,
    models: models.states(),
    memory: models.memory(),
    draining: queues?.isOpen === false,
    runningJobs: queues?.runningJobs ?? 0,
    eventLoopBlockedMaxMs: Math.round(monitor.takeMaxMs()),
  }));
  const nameDevice = async () => {
    const { provider } = thread.models;
    if (!provider || provider === device?.provider) return;
    device = { provider, name: await deviceName(provider) };
    heartbeat.now();
  };
  await heartbeat.first;
  configReload.onReload((changes) => models.reconfigure(changes));
  await models.preload(config.models.keys());
  const stopRecycle = startMemoryRecycle({
    models: () => thread.models,
    log,
    recycle: () => process.kill(process.pid, 'SIGTERM'),
  });

  const jobs = new RenderJobs(renders, cancellation);
  const segment = segmentHandler({
    gpuId,
    workerId,
    models: config.models,
    configReload,
    history,
    thread,
    usage,
    renders,
    artifacts,
    cancellation,
    blocklist,
  });
  const live = liveHandler({
    gpuId,
    models: config.models,
    configReload,
    thread,
    usage,
    redis: connection,
    cancellation,
    blocklist,
  });
  const handlers = { segment: givingAway(blocklist, jobs.handler<'segment'>(segment)), live };
  subscriber.on('message', (channel: string, modelId: string) => channel === UNLOAD_CHANNEL && thread.unload(modelId));
  await subscriber.subscribe(UNLOAD_CHANNEL);
  const onLost = (job: SegmentJob | LiveJob) => (job.name === 'live' ? liveJobLost(connection, job) : jobs.lost(job));
  queues = new GpuQueues({
    ...{ gpuId, holder, config, tools, blocklist },
    jobs: { handlers, onLost },
    onChange: () => heartbeat.now(),
  });
  const taking = queues;
  await taking.start();
  return async () => {
    stopRecycle();
    const stopped = taking.stop(config.limits.drain_seconds * 1000);
    heartbeat.now();
    await stopped;
    await thread.close();
    await heartbeat.stop();
    await lease.release();
  };
}

function threadSettings(config: Config, history: EntryHistory) {
  const { intra_op_threads, inter_op_threads, execution_providers } = config.onnx;
  // Threads of all GPU workers of a machine together must not outnumber its cores: that loses a third of the speed.
  const fairShare = Math.max(1, Math.floor(availableParallelism() / config.gpus.count));
  return {
    storageRoot: config.storageRoot,
    models: history.all(),
    limits: modelLimits(config),
    providers: execution_providers,
    intraOpThreads: intra_op_threads || fairShare,
    interOpThreads: inter_op_threads || 1,
    cachedFrames: config.capacity.background_cache_frames,
    liveBatches: { maxFrames: config.live.max_batch_frames, maxWaitMs: config.live.batch_wait_ms },
  };
}
