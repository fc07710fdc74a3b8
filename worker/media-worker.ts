import type { Config } from '../shared/config/load.ts';
import { DiskReserve } from '../shared/files/disk-reserve.ts';
import { MEDIA_QUEUES, type MediaQueue, QueueClients } from '../shared/jobs/queues.ts';
import { RenderWork } from '../shared/renders/work.ts';
import { Collector } from '../shared/retention/collector.ts';
import { startHeartbeat } from '../shared/workers/heartbeat.ts';
import { readyFootage } from './avatar/own-footage.ts';
import { RenderJobs } from './jobs/render-jobs.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { keptSegments, openCache } from './kept-segments-tools.ts';
import { startCollecting } from './media/collect-expired.ts';
import { Dispatcher } from './media/dispatch.ts';
import { prepareHandler } from './media/prepare.ts';
import type { PrepareTools } from './media/prepare-tools.ts';
import { RenderReconciler } from './media/reconcile-renders.ts';
import { startShrinking } from './media/shrink-cache.ts';
import { SpentFiles } from './media/spent-files.ts';
import { stitchHandler, tidyUp } from './media/stitch.ts';
import { keepAvatarPictures } from './media-pictures.ts';
import { type MediaConsumerOptions, MediaQueues } from './media-queues.ts';
import { startWebhooks } from './webhooks/start-webhooks.ts';
import { WorkerProcess } from './worker-process.ts';

/** Decoding and stitching wait for ffmpeg most of the time. Long sounds have a place of their own. */
const JOBS_AT_ONCE: Record<MediaQueue, number> = { media: 2, 'media-long': 1 };

/** What changes in a media worker's heartbeat. */
interface MediaState {
  draining: boolean;
  /** Undefined until it takes jobs. */
  queues: MediaQueues | undefined;
}

/** The process that decodes uploads, plans renders and stitches them. Returns how to drain it. */
export async function startMediaWorker(config: Config, tools: WorkerTools): Promise<() => Promise<void>> {
  const state: MediaState = { draining: false, queues: undefined };
  const heartbeat = startMediaHeartbeat(tools, state);
  await heartbeat.first;
  const queues = new QueueClients(tools.connection);
  const dispatcher = new Dispatcher(tools.connection, queues, config);
  const { renders } = tools;
  const reconciling = new RenderReconciler(
    { redis: tools.connection, renders, queues, dispatcher },
    tools.log,
  ).lookAlways();
  const spentFiles = new SpentFiles(tools.connection, tools.renders, tools.artifacts);
  const sweep = spentFiles.sweepAlways(tools.log);
  const collecting = startCollecting(
    { redis: tools.connection, log: tools.log, collector: collectorOf(config, tools, queues) },
    config.retention.every_minutes,
  );
  const disk = new DiskReserve(config.storageRoot, config.limits.disk_reserve_gb);
  const shrinking = startShrinking(openCache(config, tools), disk, tools.log);
  const pictures = keepAvatarPictures(config, tools);
  const jobs = mediaJobs(config, tools, { dispatcher, spentFiles, disk }, queues);
  const taking = new MediaQueues(jobs, tools, () => heartbeat.now());
  await taking.start();
  state.queues = taking;
  const drainWebhooks = await startWebhooks(config, tools, queues);
  return async () => {
    state.draining = true;
    await Promise.all([reconciling.stop(), sweep.stop(), collecting.stop(), shrinking.stop(), pictures.stop()]);
    const patienceMs = config.limits.drain_seconds * 1000;
    await Promise.all([drainWebhooks(patienceMs), taking.stop(patienceMs)]);
    await dispatcher.close();
    await queues.close();
    await heartbeat.stop();
  };
}

function collectorOf(config: Config, { connection, renders, artifacts, log }: WorkerTools, queues: QueueClients) {
  return new Collector({ config, redis: connection, queues, store: renders, artifacts, log });
}

function startMediaHeartbeat({ connection, log, host }: WorkerTools, state: MediaState) {
  const self = new WorkerProcess('media', host);
  const describe = () => ({
    gpuId: null,
    ...self.describe(),
    provider: null,
    device: null,
    models: [],
    draining: state.draining || state.queues?.isOpen === false,
    runningJobs: state.queues?.runningJobs ?? 0,
  });
  return startHeartbeat(connection, self.workerId, describe, log);
}

function mediaJobs(
  config: Config,
  tools: WorkerTools,
  { dispatcher, spentFiles, disk }: { dispatcher: Dispatcher; spentFiles: SpentFiles; disk: DiskReserve },
  queues: QueueClients,
): MediaConsumerOptions[] {
  const { connection, renders, artifacts, cancellation, log } = tools;
  const jobs = new RenderJobs(renders, cancellation, config);
  const work = new RenderWork(connection);
  const tidy = (renderId: string) => tidyUp({ renders, artifacts, spentFiles }, renderId);
  const footageTools = { config, artifacts, disk };
  const preparing: PrepareTools = {
    ...{ config, renders, artifacts, dispatcher, work, disk, redis: connection },
    kept: keptSegments(openCache(config, tools), tools),
    readyFootage: async ({ renderId, request: { footage, frameRate } }, signal) =>
      footage && (await readyFootage(footageTools, { renderId, request: { footage, frameRate } }, signal)),
  };
  const handlers = {
    prepare: jobs.handler<'prepare'>(prepareHandler(preparing), tidy),
    stitch: jobs.handler<'stitch'>(stitchHandler({ renders, artifacts, spentFiles }), tidy),
  };
  return MEDIA_QUEUES.map((name) => ({
    ...{ queue: queues.media(name), handlers, connection, log },
    concurrency: JOBS_AT_ONCE[name],
    onLost: (job) => jobs.lost(job),
  }));
}
