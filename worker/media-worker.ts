import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config } from '../shared/config/load.ts';
import { startHeartbeat } from '../shared/heartbeat.ts';
import { MEDIA_QUEUE } from '../shared/queues.ts';
import { EventLoopMonitor } from './event-loop-monitor.ts';
import { Consumer } from './jobs/consumer.ts';
import { RenderJobs } from './jobs/render-jobs.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { Dispatcher } from './media/dispatch.ts';
import { prepareHandler } from './media/prepare.ts';
import { startRenderRecovery } from './media/recover-renders.ts';
import { stitchHandler } from './media/stitch.ts';

/** Decoding and stitching wait for ffmpeg most of the time. */
const JOBS_AT_ONCE = 2;

/** The process that decodes uploads, plans renders and stitches them. Returns how to drain it. */
export async function startMediaWorker(config: Config, tools: WorkerTools): Promise<() => Promise<void>> {
  const { connection, renders, artifacts, cancellation, log } = tools;
  const workerId = `media-${randomUUID().slice(0, 8)}`;
  const monitor = new EventLoopMonitor();
  const startedAtMs = Date.now();
  let draining = false;
  let consumer: Consumer<'prepare' | 'stitch'> | undefined;
  const heartbeat = startHeartbeat(connection, workerId, () => ({
    gpuId: null,
    host: hostname(),
    pid: process.pid,
    startedAtMs,
    provider: null,
    device: null,
    models: [],
    draining,
    runningJobs: consumer?.runner.runningCount() ?? 0,
    eventLoopBlockedMaxMs: Math.round(monitor.takeMaxMs()),
  }));
  await heartbeat.first;

  const dispatcher = new Dispatcher(connection, config);
  const recovery = startRenderRecovery(renders, dispatcher);
  const jobs = new RenderJobs(renders, cancellation);
  const taking = new Consumer({
    queueName: MEDIA_QUEUE,
    handlers: {
      prepare: jobs.handler<'prepare'>(prepareHandler({ config, renders, artifacts, dispatcher })),
      stitch: jobs.handler<'stitch'>(stitchHandler({ renders, artifacts })),
    },
    connection,
    log,
    concurrency: JOBS_AT_ONCE,
    onLost: (job) => jobs.lost(job),
  });
  consumer = taking;
  return async () => {
    draining = true;
    recovery.stop();
    await taking.drain(config.limits.drain_seconds * 1000);
    await dispatcher.close();
    await heartbeat.stop();
  };
}
