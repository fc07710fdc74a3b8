import type { Config } from '../shared/config/load.ts';
import type { LiveJob, SegmentJob } from '../shared/jobs/jobs.ts';
import { gpuQueue } from '../shared/jobs/queues.ts';
import type { PipelineThread } from './engine/pipeline-thread.ts';
import type { EntryHistory } from './gpu/entry-history.ts';
import type { FrameChannels } from './gpu/frame-channels.ts';
import { liveHandler, liveJobLost } from './gpu/live-handler.ts';
import type { ModelClaims } from './gpu/model-claims.ts';
import type { ModelUsage } from './gpu/model-usage.ts';
import { segmentHandler } from './gpu/segment-handler.ts';
import { WorkLog } from './gpu/work-log.ts';
import { RenderJobs } from './jobs/render-jobs.ts';
import type { WorkerTools } from './jobs/worker-tools.ts';
import { keptSegments, openCache } from './kept-segments-tools.ts';
import { type Blocklist, givingAway } from './queues/blocklist.ts';
import type { GpuQueuesOptions } from './queues/gpu-queues.ts';
import { onlyWithTags, toHostsWithTags } from './queues/host-needs.ts';

/** The parts of a GPU worker that its jobs need. */
export interface GpuJobsParts {
  readonly gpuId: number;
  readonly workerId: string;
  readonly config: Config;
  readonly tools: WorkerTools;
  readonly thread: PipelineThread;
  readonly usage: ModelUsage;
  readonly blocklist: Blocklist;
  readonly claims: ModelClaims;
  readonly history: EntryHistory;
  readonly channels: FrameChannels;
  /** Resolves once the heartbeat in Redis says what is so now. */
  readonly stateWritten: () => Promise<void>;
}

/** What a GPU worker does with each job that it takes, and with one whose worker was lost. */
export function gpuJobs({ config, tools, ...parts }: GpuJobsParts): Pick<GpuQueuesOptions, 'jobs' | 'onOffered'> {
  const { live: redis, renders, artifacts, cancellation, configReload, host, log } = tools;
  const { gpuId, blocklist } = parts;
  const jobs = new RenderJobs(renders, cancellation, config);
  const common = {
    ...{ ...parts, models: config.models, configReload, cancellation, host },
    workLog: new WorkLog({ config, name: gpuQueue(gpuId), log }),
  };
  const kept = keptSegments(openCache(config, tools), tools);
  const segment = segmentHandler({ ...common, renders, artifacts, kept });
  const live = liveHandler({ ...common, redis });
  return {
    jobs: {
      handlers: {
        segment: toHostsWithTags(common, givingAway(blocklist, jobs.handler<'segment'>(onlyWithTags(common, segment)))),
        live,
      },
      onLost: (job: SegmentJob | LiveJob) => (job.name === 'live' ? liveJobLost(redis, job, gpuId) : jobs.lost(job)),
    },
    onOffered: live,
  };
}
