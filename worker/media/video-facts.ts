/** What the headers of a video say of its pictures, as far as it matters to whoever takes them out. */

import { z } from 'zod';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { outputOf } from '../../shared/tools/tool-output.ts';
import { MINUTE_MS } from '../../shared/units.ts';
import { UPLOAD_GUARDS } from './upload-input.ts';

export interface VideoFacts {
  /** Number of its track in the file: the first one that is no cover picture. */
  readonly index: number;
  readonly codec: string;
  /** As coded: a video that is to be turned has them the other way round. */
  readonly width: number;
  readonly height: number;
  /** Pictures a second on average, as a text such as `29.97`; undefined where the file does not say. */
  readonly rate: string | undefined;
  /** In ffmpeg's words; undefined where the file does not say. */
  readonly matrix: string | undefined;
  readonly transfer: string | undefined;
  readonly primaries: string | undefined;
  readonly hasAlpha: boolean;
  /** Each picture is two fields, of two moments. */
  readonly isInterlaced: boolean;
  /** Degrees by which it is shown turned; 0 for one that is shown as it is coded. */
  readonly turn: number;
}

const LOOK_TIMEOUT_MS = MINUTE_MS;
const SHOWN = [
  'stream=index,codec_name,width,height,pix_fmt,color_space,color_transfer,color_primaries,field_order,avg_frame_rate',
  'stream_tags=alpha_mode:stream_side_data=rotation',
].join(':');
const FIELD_ORDERS = new Set(['tt', 'bb', 'tb', 'bt']);
/** Formats of pixels that have alpha. */
const ALPHA_FORMAT = /^(yuva|gbrap|ya\d|rgba|bgra|argb|abgr|ayuv)/;

const told = z
  .string()
  .optional()
  .transform((text) => (text === 'unknown' || text === 'reserved' ? undefined : text));
const streamSchema = z.object({
  index: z.int(),
  codec_name: z.string().default('unknown'),
  width: z.int().positive(),
  height: z.int().positive(),
  pix_fmt: told,
  color_space: told,
  color_transfer: told,
  color_primaries: told,
  field_order: told,
  avg_frame_rate: z.string().optional(),
  tags: z.record(z.string(), z.string()).default({}),
  side_data_list: z.array(z.object({ rotation: z.number().optional() })).default([]),
});

/**
 * Reads what a video says of itself.
 * @throws FarmError `model_unusable` naming a file that is no video, or has no picture; the fault of the machine.
 */
export async function lookAtVideo(path: string, signal: AbortSignal): Promise<VideoFacts> {
  const shown = ['-v', 'error', '-of', 'json', '-select_streams', 'V', '-show_entries', SHOWN];
  const found: Buffer[] = [];
  try {
    const limits = { signal, timeoutMs: LOOK_TIMEOUT_MS };
    for await (const chunk of outputOf('ffprobe', [...shown, ...UPLOAD_GUARDS, path], limits)) found.push(chunk);
  } catch (cause) {
    if (!(cause instanceof FarmError) || cause.code !== 'encode_failed') throw cause;
    const what = 'it is in no video format that is taken, or damaged; copy or download it again, or export it as MP4';
    throw new FarmError('model_unusable', `the video ${path} cannot be read: ${what}`, { cause });
  }
  const { streams } = z.object({ streams: z.array(z.unknown()) }).parse(JSON.parse(Buffer.concat(found).toString()));
  if (streams.length === 0) {
    throw new FarmError(
      'model_unusable',
      `the video ${path} has no picture: expected a video of the avatar, not sound`,
    );
  }
  const stream = streamSchema.safeParse(streams[0]);
  if (stream.success) return factsOf(stream.data);
  const what = 'its headers do not say how large its pictures are; export it as MP4';
  throw new FarmError('model_unusable', `the video ${path} cannot be read: ${what}`, { cause: stream.error });
}

function factsOf(stream: z.output<typeof streamSchema>): VideoFacts {
  const { index, width, height } = stream;
  const turn = stream.side_data_list.find(({ rotation }) => rotation !== undefined)?.rotation ?? 0;
  return {
    ...{ index, width, height, turn },
    codec: stream.codec_name,
    rate: rateOf(stream.avg_frame_rate),
    matrix: stream.color_space,
    transfer: stream.color_transfer,
    primaries: stream.color_primaries,
    // WebM keeps alpha beside the pictures.
    hasAlpha: ALPHA_FORMAT.test(stream.pix_fmt ?? '') || Object.entries(stream.tags).some(isAlphaTag),
    isInterlaced: FIELD_ORDERS.has(stream.field_order ?? ''),
  };
}

function isAlphaTag([name, value]: readonly [string, string]): boolean {
  return name.toLowerCase() === 'alpha_mode' && value === '1';
}

function rateOf(rational: string | undefined): string | undefined {
  const [numerator = 0, denominator = 0] = (rational ?? '').split('/').map(Number);
  const rate = numerator / denominator;
  return Number.isFinite(rate) && rate > 0 ? String(Math.round(rate * 1000) / 1000) : undefined;
}
