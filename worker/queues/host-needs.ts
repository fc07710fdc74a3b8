import type { ModelConfig } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { SegmentJob } from '../../shared/jobs/jobs.ts';
import { type JobContext, type JobHandler, TryAgain } from '../jobs/job-runner.ts';
import type { OwnHost } from '../own-host.ts';

/** Segments of models that need tags which this host lacks: they lie on its queue while no other worker was there. */

/** How soon such a segment is looked at again, while no host of the farm has the tags. */
const LOOK_AGAIN_MS = 5000;

export interface HostNeeds {
  readonly models: ReadonlyMap<string, Pick<ModelConfig, 'needs'>>;
  readonly host: Pick<OwnHost, 'lacks'>;
}

/** Moves them to a GPU of a host that has the tags; where there is none, `handler` gets them. */
export function toHostsWithTags(needs: HostNeeds, handler: JobHandler<'segment'>): JobHandler<'segment'> {
  return async (job, context) => {
    const lack = lackOf(needs, job);
    const queueName = lack && (await context.moveElsewhere(lack, false));
    return queueName ? `moved to ${queueName}: the model needs other tags` : await handler(job, context);
  };
}

/** Puts them off, which costs no attempt. */
export function onlyWithTags(needs: HostNeeds, work: (job: SegmentJob, context: JobContext) => Promise<void>) {
  return async (job: SegmentJob, context: JobContext): Promise<void> => {
    const lack = lackOf(needs, job);
    if (lack) throw new TryAgain(Date.now() + LOOK_AGAIN_MS, lack);
    await work(job, context);
  };
}

function lackOf({ models, host }: HostNeeds, { modelId }: SegmentJob): FarmError | undefined {
  const lacks = host.lacks(models.get(modelId)?.needs ?? []);
  if (lacks.length === 0) return undefined;
  return new FarmError('no_worker', `"${modelId}" needs the tags ${lacks.join(', ')}, which this host lacks`);
}
