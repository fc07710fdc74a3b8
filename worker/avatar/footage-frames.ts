/** The frames of an uploaded video as its file lists them, and which of them is seen in each picture taken from it. */

import { z } from 'zod';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { type FrameRate, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { outputOf } from '../../shared/tools/tool-output.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import { UPLOAD_GUARDS } from '../media/upload-input.ts';
import type { PictureSize } from './picture-file.ts';

const LOOK_TIMEOUT_MS = 5 * MINUTE_MS;

/** As coded: a video that is to be rotated has them the other way round. */
export interface FootageFacts extends PictureSize {
  /** When each frame is shown, in ticks from the beginning of the file, ascending. */
  readonly frameTicks: readonly number[];
  /** Seconds a tick. */
  readonly timeBase: { readonly numerator: number; readonly denominator: number };
}

const rational = z.string().regex(/^\d+\/\d+$/);
const streamSchema = z.object({ width: z.int(), height: z.int(), time_base: rational });
const headSchema = z.object({
  streams: z.array(streamSchema),
  format: z.object({ start_time: z.coerce.number().optional() }),
});

/**
 * Lists the frames of a video by its packets, without decoding any.
 * @param name of the video, for messages.
 * @throws FarmError `video_unreadable`: no video, or no picture in it; the fault of the machine.
 */
export async function listFootageFrames(path: string, name: string, signal: AbortSignal): Promise<FootageFacts> {
  const text = await said(path, name, signal, ['-of', 'json'], 'stream=width,height,time_base:format=start_time');
  const head = headSchema.safeParse(JSON.parse(text));
  const stream = head.data?.streams[0];
  if (!stream) throw new FarmError('video_unreadable', `The video ${name} has no picture`);
  const [numerator = 0, denominator = 1] = stream.time_base.split('/').map(Number);
  const timeBase = { numerator, denominator };
  const beginsAt = Math.round(((head.data?.format.start_time ?? 0) * denominator) / numerator);
  const packets = await said(path, name, signal, ['-of', 'csv=p=0'], 'packet=pts,flags');
  const frameTicks = packets
    .split('\n')
    .map((line) => line.split(','))
    // What an edit list cuts off is marked with a D, and is never shown.
    .flatMap(([pts, flags]) => (pts && /^-?\d+$/.test(pts) && !flags?.includes('D') ? [Number(pts) - beginsAt] : []))
    .sort((a, b) => a - b);
  if (frameTicks.length === 0) throw new FarmError('video_unreadable', `The video ${name} has no picture`);
  return { width: stream.width, height: stream.height, frameTicks, timeBase };
}

/** How long the video lasts up to its last frame. */
export function footageSeconds({ frameTicks, timeBase }: FootageFacts): number {
  return ((frameTicks.at(-1) ?? 0) * timeBase.numerator) / timeBase.denominator;
}

/**
 * Which frame is seen in each of the pictures that `extractFrames` writes: the last frame whose time,
 * rounded to the grid of the pictures, has come. So does ffmpeg's filter `fps`.
 * @param pictures that were written.
 */
export function framesInPictures(
  { frameTicks, timeBase }: FootageFacts,
  pictures: number,
  frameRate: FrameRate = USUAL_FRAME_RATE,
): number[] {
  const { numerator, denominator } = timeBase;
  let frame = 0;
  const isShownBy = (index: number, picture: number) => {
    const ticks = frameTicks[index];
    // In whole numbers, so that a time in the middle of two pictures is always rounded up.
    const doubled = ticks === undefined ? Number.POSITIVE_INFINITY : 2 * ticks * numerator * frameRate;
    return Math.floor((doubled + denominator) / (2 * denominator)) <= picture;
  };
  return Array.from({ length: pictures }, (_, picture) => {
    while (isShownBy(frame + 1, picture)) frame += 1;
    return frame;
  });
}

async function said(
  path: string,
  name: string,
  signal: AbortSignal,
  form: readonly string[],
  entries: string,
): Promise<string> {
  const args = ['-v', 'error', ...UPLOAD_GUARDS, '-select_streams', 'V:0', ...form, '-show_entries', entries, path];
  const found: Buffer[] = [];
  try {
    for await (const chunk of outputOf('ffprobe', args, { signal, timeoutMs: LOOK_TIMEOUT_MS })) found.push(chunk);
  } catch (cause) {
    if (!(cause instanceof FarmError) || cause.code !== 'encode_failed') throw cause;
    const what = `The video ${name} cannot be read: it is in no format that is taken, or damaged`;
    throw new FarmError('video_unreadable', what, { cause });
  }
  return Buffer.concat(found).toString('latin1');
}
