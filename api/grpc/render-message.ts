import type { Batch } from '../../shared/views/batch-view.ts';
import type { Estimate } from '../../shared/views/estimate-view.ts';
import type { RenderView } from '../../shared/views/render-view.ts';
import type { Render, RenderBatch, RenderEstimate, RenderOutput, RenderPage, RenderPriority } from './messages/farm.ts';

/** A time, or what follows from measured times, while there is none. */
const UNKNOWN = -1;

/** A render as HTTP shows it, as a message: what is not known is 0 or empty, the ETA −1. */
export function toRender(view: RenderView, previewJpeg: Buffer = Buffer.alloc(0)): Render {
  return {
    render_id: view.id,
    status: view.status.toUpperCase() as Uppercase<typeof view.status>,
    model_id: view.model_id,
    output: fromOutput(view.output),
    file_name: view.file_name,
    created_at: view.created_at,
    finished_at: view.finished_at ?? '',
    audio_seconds: view.audio_seconds ?? 0,
    fps: view.fps,
    frames_done: view.frames.done,
    frames_total: view.frames.total ?? 0,
    frames_per_second: view.frames_per_second ?? 0,
    eta_seconds: view.eta_seconds ?? UNKNOWN,
    error: view.error,
    waiting: view.waiting,
    owner: view.owner ?? '',
    labels: view.labels,
    priority: `PRIORITY_${view.priority.toUpperCase() as Uppercase<typeof view.priority>}` satisfies RenderPriority,
    from_frame: view.range?.from ?? 0,
    to_frame: view.range?.to ?? 0,
    video_path: view.links.video ?? '',
    frames_path: view.links.frames ?? '',
    preview_jpeg: previewJpeg,
  };
}

/** Names of outputs in messages; the first is that of a message that says none. */
export const OUTPUT_NAMES = ['MP4', 'FRAMES', 'WEBM', 'PNG_FRAMES'] as const satisfies RenderOutput[];

function fromOutput(output: RenderView['output']): RenderOutput {
  return output.toUpperCase().replace('-', '_') as RenderOutput;
}

/** The output of a message. */
export function toOutput(name: RenderOutput): RenderView['output'] {
  return name.toLowerCase().replace('_', '-') as RenderView['output'];
}

/** The priority of a message. */
export function toPriority(name: RenderPriority): RenderView['priority'] {
  return name.replace('PRIORITY_', '').toLowerCase() as RenderView['priority'];
}

/** A page of renders as a message. @param next cursor of the next page. */
export function toPage({ renders, next }: { renders: readonly RenderView[]; next: string | null }): RenderPage {
  return { renders: renders.map((view) => toRender(view)), next: next ?? '' };
}

/** What became of the sounds of a batch, as a message. */
export function toBatch({ taken, refused, items }: Batch): RenderBatch {
  const messages = items.map(({ index, file_name, render, error }) => ({
    ...{ index, file_name: file_name ?? '', render: render && toRender(render), error },
  }));
  return { taken, refused, items: messages };
}

/** An estimate as a message: what is not known is −1. */
export function toEstimate(estimate: Estimate): RenderEstimate {
  return {
    ...estimate,
    frames_per_second: estimate.frames_per_second ?? UNKNOWN,
    gpu_seconds: estimate.gpu_seconds ?? UNKNOWN,
    queue_seconds: estimate.queue_seconds ?? UNKNOWN,
    finish_seconds: estimate.finish_seconds ?? UNKNOWN,
  };
}
