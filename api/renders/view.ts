import { ERROR_CATALOGUE } from '../../shared/errors/catalogue.ts';
import { isVideo } from '../../shared/renders/outputs.ts';
import {
  framesOf,
  isTerminal,
  type RenderPlan,
  type RenderRecord,
  type StageTimings,
} from '../../shared/renders/record.ts';
import type { RenderProgress } from '../../shared/renders/segments.ts';
import type { RenderStore } from '../../shared/renders/store.ts';
import type { RenderWait } from '../../shared/renders/waits.ts';
import { USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import type { RenderView } from '../../shared/views/render-view.ts';

const NO_PROGRESS: RenderProgress = { framesDone: 0, framesRepeating: 0 };

/** A render as the API shows it, with what is derived from its record: speed, time left, links. */
export async function viewRender(record: RenderRecord, { segments, waits }: RenderStore): Promise<RenderView> {
  const { renderId, plan, status } = record;
  const [progress, stages, wait] = await Promise.all([
    plan ? segments.progress(renderId) : NO_PROGRESS,
    plan ? segments.stageTimings(renderId) : undefined,
    isTerminal(status) ? undefined : waits.longest(renderId),
  ]);
  return toView(record, progress, stages, Date.now(), wait);
}

/**
 * The same, and its record, all read in one go: whoever polls a render costs one write to Redis and one answer.
 * FarmError: render_unknown, record_unreadable.
 */
export async function readView(
  renderId: string,
  store: RenderStore,
): Promise<{ readonly record: RenderRecord; readonly view: RenderView }> {
  const [record, progress, stages, wait] = await Promise.all([
    store.get(renderId),
    store.segments.progress(renderId),
    store.segments.stageTimings(renderId),
    store.waits.longest(renderId),
  ]);
  const { plan, status } = record;
  // What came between the record and these is for the next look.
  const [done, times] = plan ? [progress, stages] : [NO_PROGRESS, undefined];
  return { record, view: toView(record, done, times, Date.now(), isTerminal(status) ? undefined : wait) };
}

export function toView(
  record: RenderRecord,
  { framesDone, framesRepeating, framesKept = 0 }: RenderProgress,
  stages: StageTimings | undefined,
  nowMs: number,
  wait?: RenderWait,
): RenderView {
  const { renderId, request, plan, status, createdAtMs, preparingAtMs, renderingAtMs, stitchingAtMs } = record;
  const { firstSegmentAtMs } = record;
  const endMs = record.finishedAtMs ?? nowMs;
  const renderMs = span(firstSegmentAtMs, stitchingAtMs ?? endMs);
  const framesMade = framesDone - framesKept;
  const framesPerSecond = renderMs && framesMade > 0 ? (1000 * framesMade) / renderMs : undefined;
  const framesLeft = plan && status === 'rendering' ? plan.frameCount - framesDone + framesRepeating : undefined;
  return {
    id: renderId,
    status,
    owner: record.owner ?? null,
    model_id: request.modelId,
    output: request.output,
    file_name: request.fileName,
    labels: request.labels ?? {},
    priority: request.priority ?? 'normal',
    range: rangeOf(request, plan),
    created_at: iso(createdAtMs) ?? '',
    started_at: iso(preparingAtMs),
    finished_at: iso(record.finishedAtMs),
    audio_seconds: plan ? plan.sampleCount / SAMPLE_RATE_HZ : null,
    fps: request.frameRate ?? USUAL_FRAME_RATE,
    frames: { done: framesDone, total: plan?.frameCount ?? null, repeating: framesRepeating },
    frames_per_second: framesPerSecond ? round(framesPerSecond, 2) : null,
    eta_seconds: framesPerSecond && framesLeft !== undefined ? round(framesLeft / framesPerSecond, 1) : null,
    timings_ms: {
      queued: span(createdAtMs, preparingAtMs ?? endMs),
      prepare: span(preparingAtMs, renderingAtMs ?? endMs),
      waiting: span(renderingAtMs, firstSegmentAtMs ?? stitchingAtMs ?? endMs),
      render: renderMs,
      stitch: span(stitchingAtMs, endMs),
      total: isTerminal(status) ? span(createdAtMs, endMs) : null,
      stages: stages ?? null,
    },
    waiting: wait ? toWaiting(wait) : null,
    error: record.error ?? null,
    links: linksOf(record),
  };
}

function linksOf({ renderId, status, request }: RenderRecord): RenderView['links'] {
  const self = `/v1/renders/${renderId}`;
  const completed = status === 'completed';
  return {
    self,
    video: completed && isVideo(request.output) ? `${self}/video` : null,
    frames: completed && !isVideo(request.output) ? `${self}/frames/{index}` : null,
    receipt: completed ? `${self}/receipt` : null,
    contact_sheet: completed ? `${self}/contact-sheet` : null,
    waveform: completed ? `${self}/waveform` : null,
    waterfall: completed ? `${self}/waterfall` : null,
  };
}

function rangeOf({ range }: RenderRecord['request'], plan: RenderPlan | undefined): RenderView['range'] {
  if (!range) return null;
  return { from: range.from, to: plan ? framesOf(plan).end : (range.to ?? null) };
}

function toWaiting({ code, message, sinceMs, nextTryAtMs }: RenderWait): RenderView['waiting'] {
  const { remedy } = ERROR_CATALOGUE[code];
  return { code, message, remedy, since: iso(sinceMs) ?? '', next_try_at: iso(nextTryAtMs) ?? '' };
}

function span(fromMs: number | undefined, toMs: number): number | null {
  // The steps were written by several hosts, whose clocks differ.
  return fromMs === undefined ? null : Math.max(0, toMs - fromMs);
}

function iso(timeMs: number | undefined): string | null {
  return timeMs === undefined ? null : new Date(timeMs).toISOString();
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
