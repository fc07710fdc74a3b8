import path from 'node:path';
import { artifactKeys } from '../../shared/artifacts/keys.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { formOf, isVideo } from '../../shared/renders/outputs.ts';
import { framesOf, isTerminal, type RenderRecord } from '../../shared/renders/record.ts';

/** Which file of the store answers which question about a render, or the error that says why there is none yet. */
export interface RenderFileName {
  readonly key: string;
  readonly contentType: string;
  /** Name under which a browser saves it. */
  readonly fileName: string;
}

/** The header that has a browser show it, and save it under its name. */
export function dispositionOf({ fileName }: Pick<RenderFileName, 'fileName'>): string {
  return `inline; filename="${fileName}"`;
}

/** FarmError: output_not_kept, render_not_finished, render_failed, render_cancelled. */
export function videoOf(record: RenderRecord): RenderFileName {
  const { renderId, request } = record;
  if (!isVideo(request.output)) throw otherOutput(record, 'a video');
  refuseUnfinished(record);
  const { extension, contentType } = formOf(request.output);
  return { key: artifactKeys.video(renderId, request.output), contentType, fileName: `${renderId}.${extension}` };
}

/** FarmError: render_not_finished, render_failed, render_cancelled. */
export function receiptOf(record: RenderRecord): RenderFileName {
  refuseUnfinished(record);
  const { renderId } = record;
  return {
    key: artifactKeys.receipt(renderId),
    contentType: 'application/json',
    fileName: `${renderId}-receipt.json`,
  };
}

/** Pictures that are made of a finished render, by the last part of their addresses. */
const PICTURES = {
  'contact-sheet': { keyOf: artifactKeys.contactSheet, contentType: 'image/jpeg' },
  waveform: { keyOf: artifactKeys.waveform, contentType: 'image/svg+xml' },
  waterfall: { keyOf: artifactKeys.waterfall, contentType: 'image/svg+xml' },
} as const;
export type PictureName = keyof typeof PICTURES;

/** FarmError: render_not_finished, render_failed, render_cancelled. */
export function pictureOf(record: RenderRecord, name: PictureName): RenderFileName {
  refuseUnfinished(record);
  const { keyOf, contentType } = PICTURES[name];
  const key = keyOf(record.renderId);
  return { key, contentType, fileName: `${record.renderId}-${path.basename(key)}` };
}

/** A frame is there as soon as it is rendered. FarmError: output_not_kept, frame_unknown. */
export function frameOf(record: RenderRecord, frameIndex: number): RenderFileName {
  const { renderId, plan, request } = record;
  if (isVideo(request.output)) throw otherOutput(record, 'frames');
  const { start, end } = plan ? framesOf(plan) : { start: 0, end: Infinity };
  if (frameIndex < start || frameIndex >= end) {
    throw new FarmError(
      'frame_unknown',
      `Render ${renderId} has frames ${start} to ${end - 1}; there is no frame ${frameIndex}`,
    );
  }
  const key = artifactKeys.frame(renderId, frameIndex, request.output);
  const { extension, contentType } = formOf(request.output);
  return { key, contentType, fileName: `${renderId}-${frameIndex}.${extension}` };
}

/** Why something of a render that is not completed is not there: render_not_finished, render_failed, render_cancelled. */
export function unfinished({ renderId, status, error }: RenderRecord, wanted: string): FarmError {
  if (status === 'failed') {
    return new FarmError('render_failed', `Render ${renderId} failed: ${error?.message ?? 'the reason is not known'}`);
  }
  if (isTerminal(status) && status !== 'completed') {
    return new FarmError('render_cancelled', `Render ${renderId} was cancelled`);
  }
  return new FarmError('render_not_finished', `${wanted} of render ${renderId} is not there yet; it is ${status}`);
}

function otherOutput({ renderId, request }: RenderRecord, wanted: string): FarmError {
  return new FarmError(
    'output_not_kept',
    `Render ${renderId} was made with output=${request.output}, not to ${wanted}`,
  );
}

function refuseUnfinished(record: RenderRecord): void {
  if (record.status !== 'completed') throw unfinished(record, 'The result');
}
