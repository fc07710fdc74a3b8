import { PING_PONG } from '../../shared/background-mode.ts';
import { walkOver } from '../../shared/renders/footage.ts';
import { framesOf, type RenderPlan, type RenderRecord, type SegmentReceipt } from '../../shared/renders/record.ts';
import { sumTimings } from '../../shared/renders/timings.ts';
import { USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import type { Receipt } from '../../shared/views/render-view.ts';
import type { VideoSeconds } from './check-video.ts';
import type { RenderLook } from './render-look.ts';

export interface VideoFacts extends VideoSeconds {
  readonly sha256: string;
  readonly bytes: number;
}

export function buildReceipt(
  { renderId, request }: RenderRecord,
  plan: RenderPlan,
  segments: readonly SegmentReceipt[],
  video: VideoFacts | undefined,
  { quality, pictures }: RenderLook,
): Receipt {
  const [first] = segments;
  return {
    render_id: renderId,
    model_id: request.modelId,
    output: request.output,
    frames: plan.frameCount,
    range: plan.totalFrames === undefined ? null : { ...rangeOf(plan), of: plan.totalFrames },
    background: {
      mode: request.footage ? walkOver(request.footage.syncMode) : (request.backgroundMode ?? PING_PONG),
      start_frame: request.startFrameIndex,
      from_neutral: request.fromNeutral ?? false,
    },
    footage: footageOf(request, plan),
    silence_gate: silenceOf(plan, segments),
    fps: request.frameRate ?? USUAL_FRAME_RATE,
    width: first?.width ?? 0,
    height: first?.height ?? 0,
    alpha: segments.some(({ alpha }) => alpha),
    audio: {
      file_name: request.fileName,
      sha256: request.uploadSha256,
      seconds: plan.sampleCount / SAMPLE_RATE_HZ,
      speaking_seconds: plan.speechSeconds ?? null,
      lead_ms: request.audioLeadMs ?? 0,
      tail_ms: request.audioTailMs ?? 0,
    },
    video: video
      ? { sha256: video.sha256, bytes: video.bytes, seconds: video.videoSeconds, audio_seconds: video.audioSeconds }
      : null,
    audio_minus_video_seconds: video ? rounded(video.audioSeconds - video.videoSeconds) : null,
    model_files: distinctFiles(segments),
    providers: [...new Set(segments.map(({ provider }) => provider))],
    segments: segments.map(({ model_files: _, ...segment }) => segment),
    ...cachedOf(segments),
    timings_ms: sumTimings(segments),
    quality,
    pictures,
    finished_at: new Date().toISOString(),
  };
}

function cachedOf(segments: readonly SegmentReceipt[]): Pick<Receipt, 'segments_cached' | 'frames_cached'> {
  const cached = segments.filter((segment) => segment.cached);
  const frames_cached = cached.reduce((sum, { frames }) => sum + frames.end - frames.start, 0);
  return { segments_cached: cached.length, frames_cached };
}

function footageOf({ footage }: RenderRecord['request'], { footagePictures = 0 }: RenderPlan): Receipt['footage'] {
  if (!footage) return null;
  const { fileName, videoSha256, marks, marksSha256, syncMode } = footage;
  return {
    ...{ file_name: fileName, sha256: videoSha256, pictures: footagePictures },
    ...{ marks, marks_sha256: marksSha256, sync_mode: syncMode },
  };
}

function silenceOf({ gate, frameCount }: RenderPlan, segments: readonly SegmentReceipt[]): Receipt['silence_gate'] {
  if (!gate) return null;
  const sum = (count: keyof NonNullable<SegmentReceipt['silence']>) =>
    segments.reduce((total, { silence }) => total + (silence?.[count] ?? 0), 0);
  const [spared, made] = [sum('spared'), sum('made')];
  return {
    open_dbfs: gate.openDbfs,
    close_dbfs: gate.closeDbfs,
    hold_ms: gate.holdMs,
    lead_ms: gate.leadMs,
    frames: sum('frames'),
    spared_frames: spared,
    mouths_made: made,
    inference_saved: Math.round((1000 * (spared - made)) / frameCount) / 1000,
    idle_frames: sum('idle'),
  };
}

function rangeOf(plan: RenderPlan): { from: number; to: number } {
  const { start, end } = framesOf(plan);
  return { from: start, to: end };
}

/** Each file once. A file that was replaced during the render is listed with both contents. */
function distinctFiles(segments: readonly SegmentReceipt[]): SegmentReceipt['model_files'] {
  const files = segments.flatMap(({ model_files }) => model_files);
  return [...new Map(files.map((file) => [`${file.path} ${file.sha256}`, file])).values()];
}

function rounded(seconds: number): number {
  return Math.round(seconds * 1e6) / 1e6;
}
