import type { Redis } from 'ioredis';
import type { Logger } from '../../shared/process/log.ts';
import type { RenderPlan, RenderRecord, SegmentReceipt } from '../../shared/renders/record.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import { type ModelContentState, readHeartbeats } from '../../shared/workers/heartbeat.ts';
import type { IndexRange } from '../pipeline/contract.ts';
import type { KeptSegments, PlannedRender } from '../segments/kept-segments.ts';
import { cutSegments } from './plan.ts';

export interface UseKeptTools {
  readonly redis: Redis;
  readonly kept: KeptSegments;
}

/** Segments that are looked for side by side. */
const AT_ONCE = 8;

/**
 * Puts segments of earlier renders into a new one, so that they need no job once `noteKept` was called. What is asked for
 * is what GPU workers have in memory now, since that is what they would render with. Without any nothing is found here;
 * the worker that loads the model looks again.
 * @returns the receipts, by index. What fails is logged: the segment is rendered.
 */
export async function useKeptSegments(
  { redis, kept }: UseKeptTools,
  render: PlannedRender,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<ReadonlyMap<number, SegmentReceipt>> {
  const found = new Map<number, SegmentReceipt>();
  if (!kept.isFor(render)) return found;
  try {
    const models = await contentsInUse(redis, render);
    if (models.length === 0) return found;
    await using keys = await kept.keys(render);
    const segments = [...cutSegments(render.plan).entries()].map(([index, frames]) => ({ index, frames }));
    const look = async (segment: (typeof segments)[number], model: ModelContentState) => {
      signal.throwIfAborted();
      const key = await keys.of(segment, model);
      const receipt = key === undefined ? undefined : await kept.find(render, segment, key, log);
      if (receipt) found.set(segment.index, receipt);
    };
    // GPUs of two kinds make other bytes: the segments of one kind are taken.
    for (const model of models) {
      for (let at = 0; at < segments.length; at += AT_ONCE) {
        await Promise.all(segments.slice(at, at + AT_ONCE).map((segment) => look(segment, model)));
      }
      if (found.size > 0) return found;
    }
  } catch (error) {
    signal.throwIfAborted();
    log.warn({ err: error }, 'kept segments could not be used; they are rendered');
  }
  return found;
}

/**
 * Notes the receipts of segments that `useKeptSegments` has found. Only now: before there is a plan, a job that was
 * believed dead could change receipts of a render that another one has planned and GPU workers are at.
 * @param plan that the record has, of whatever job.
 */
export async function noteKept(
  renders: RenderStore,
  renderId: string,
  plan: RenderPlan,
  found: ReadonlyMap<number, SegmentReceipt>,
): Promise<void> {
  const ranges = cutSegments(plan);
  for (const receipt of found.values()) {
    if (isOf(receipt, ranges)) await renders.segments.saveReceipt(renderId, receipt);
  }
}

function isOf({ index, frames }: SegmentReceipt, ranges: readonly IndexRange[]): boolean {
  return ranges[index]?.start === frames.start && ranges[index].end === frames.end;
}

/** What GPU workers have in memory for the model that a render is planned with, each content once. */
async function contentsInUse(redis: Redis, { request, plan }: PlannedRender): Promise<ModelContentState[]> {
  const contents = (await readHeartbeats(redis)).flatMap(({ models }) =>
    models.flatMap(({ modelId, loaded }) => (modelId === request.modelId && loaded?.content ? [loaded.content] : [])),
  );
  const current = contents.filter(({ entry }) => entry === plan.modelVersion);
  return [...new Map(current.map((content) => [`${content.networks} ${content.whole}`, content])).values()];
}

/**
 * The segments of a render that need no job: those that were rendered before it, and of a retried one all that are done.
 */
export async function segmentsDone(
  renders: RenderStore,
  { renderId, run }: Pick<RenderRecord, 'renderId' | 'run'>,
  plan: RenderPlan,
): Promise<ReadonlyMap<number, SegmentReceipt>> {
  const ranges = cutSegments(plan);
  const receipts = (await renders.segments.receipts(renderId)).filter(
    (receipt) => (run !== undefined || receipt.cached) && isOf(receipt, ranges),
  );
  return new Map(receipts.map((receipt) => [receipt.index, receipt]));
}
