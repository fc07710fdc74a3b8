import type { Job as BullJob } from 'bullmq';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { jobSchema, type SegmentJob } from '../../shared/jobs/jobs.ts';
import { gpuQueue, jobOptions, type QueueClients } from '../../shared/jobs/queues.ts';
import { logged } from '../../shared/process/unheard.ts';
import { fairTurns } from '../jobs/fair-order.ts';
import type { JobRelocation } from '../jobs/job-runner.ts';
import type { SegmentPlacement } from '../jobs/segment-placement.ts';

/**
 * Moves segments that this GPU has failed at, or whose model it has blocked, to the queue of another GPU. A moved
 * segment is a new child of the same stitch job, added before the old job ends: if the worker dies in between, both are
 * rendered, to the same bytes.
 */
export class Relocation implements JobRelocation {
  readonly #gpuId: number;
  readonly #placement: SegmentPlacement;
  readonly #queues: QueueClients;

  constructor(gpuId: number, placement: SegmentPlacement, queues: QueueClients) {
    this.#gpuId = gpuId;
    this.#placement = placement;
    this.#queues = queues;
  }

  async move(bullJob: BullJob, error: FarmError, begun: boolean): Promise<string | undefined> {
    const { data: job } = jobSchema.safeParse(bullJob.data);
    const { parent } = bullJob;
    const attempts = attemptsLeft(bullJob, begun);
    if (job?.name !== 'segment' || !parent?.id || !error.mayLieWithWorker || attempts < 1) return undefined;
    const failedOn = [...new Set([...(job.moved?.failedOn ?? []), this.#gpuId])];
    const frames = job.frames.end - job.frames.start;
    const gpuId = await this.#placement.placeElsewhere(job.modelId, frames, failedOn);
    if (gpuId === undefined) return undefined;
    const moved: SegmentJob = {
      ...job,
      moved: {
        times: (job.moved?.times ?? 0) + 1,
        attempts: (job.moved?.attempts ?? 0) + bullJob.attemptsStarted,
        failedOn,
      },
    };
    const queue = this.#queues.gpu(gpuId);
    // Its turn had come here, so it gets the first turn of its render there.
    const [priority] = await fairTurns(queue, [frames], job.priority);
    const options = { ...jobOptions(moved, attempts, priority), failParentOnFailure: true };
    const added = queue.add(moved.name, moved, { ...options, parent: { id: parent.id, queue: parent.queueKey } });
    try {
      await added;
      return gpuQueue(gpuId);
    } catch (error) {
      // Whether it was moved is not known.
      if (error instanceof FarmError) throw error;
      // Its stitch job may be gone with its render by now: then nobody needs the segment.
      return logged('could not move a segment to another GPU; it is tried again where it is')(error);
    }
  }
}

/** A job that was not begun costs no attempt. */
function attemptsLeft({ attemptsMade, opts }: BullJob, begun: boolean): number {
  return (opts.attempts ?? 1) - attemptsMade - (begun ? 1 : 0);
}
