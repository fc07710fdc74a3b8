import type { FfmpegCommand } from '../tools/ffmpeg.ts';
import { UPLOAD_INPUT_OPTIONS } from './upload-input.ts';
import type { VideoFacts } from './video-facts.ts';

/** How a picture of a video is written to a file: JPEG at mjpeg's best quality, or PNG without any loss. */
export type PictureFormat = 'jpg' | 'png';

/** Names of extracted pictures, in the form that ffmpeg numbers by. */
const NAME_PATTERN = 'frame_%06d';
const SCALE_FLAGS = 'flags=bicubic+accurate_rnd+full_chroma_int';
/** All pictures get the same Huffman tables, so code that works on the coded pictures needs only one set. */
const JPEG_QUALITY = ['-q:v', '1', '-qmin', '1', '-huffman', 'default'];
/** Of these the native decoders of ffmpeg leave the alpha out. */
const ALPHA_DECODERS: Readonly<Record<string, string>> = { vp8: 'libvpx', vp9: 'libvpx-vp9' };

/** Transfers of HDR, with the name that people know them by. */
const HDR_NAMES: Readonly<Record<string, string>> = { 'arib-std-b67': 'HLG', smpte2084: 'PQ' };
/** Filters of ffmpeg that bring HDR to what JPEG and PNG hold. */
export const HDR_FILTERS = ['zscale', 'tonemap'] as const;
/** Luminance that becomes 1.0: white paper in HDR (ITU-R BT.2408). Highlights go up to 1000 cd/m². */
const PAPER_WHITE = 203;
const HIGHLIGHTS = (1000 / PAPER_WHITE).toFixed(2);
/** Up to this share of paper white, in linear light, nothing is changed but the form; what is above is compressed. */
const KNEE = 0.5;
/** From these sizes on players take a video without tags for BT.709, below for BT.601. */
const HD_SIDES = { longer: 1280, shorter: 720 };

/** What is taken out of a video. */
export interface PicturesWanted {
  /** Exists, and receives the pictures. */
  readonly folder: string;
  readonly format: PictureFormat;
  /** Pictures a second: the avatar's. Every picture of the video once when absent. */
  readonly rate: number | undefined;
  /** Pictures at most; all when absent. */
  readonly frameLimit?: number | undefined;
  /** Whether ffmpeg has HDR_FILTERS. */
  readonly canMapHdr: boolean;
}

/** `HLG` or `PQ`; undefined for a video of usual brightness. */
export function hdrName({ transfer }: VideoFacts): string | undefined {
  return HDR_NAMES[transfer ?? ''];
}

/**
 * The pictures of a video as numbered files, frame_000000 and up, upright and in the colours that players show.
 * A video of the wanted rate gives each of its pictures once; any other is brought to it by leaving out or repeating
 * pictures, since the avatar is played at that rate and its head must move at its real speed.
 */
export function videoFramesCommand(videoPath: string, facts: VideoFacts, wanted: PicturesWanted): FfmpegCommand {
  const { folder, format, rate, frameLimit, canMapHdr } = wanted;
  const decoder = facts.hasAlpha ? ALPHA_DECODERS[facts.codec] : undefined;
  const filters = [
    ...(facts.isInterlaced ? ['bwdif=mode=send_frame:deint=interlaced'] : []),
    ...(rate === undefined ? [] : [`fps=${rate}`]),
    ...(canMapHdr && !facts.hasAlpha ? gamutFilters(facts) : []),
    ...(format === 'jpg' ? jpegFilters(facts) : pngFilters(facts)),
  ];
  return {
    inputs: [
      {
        source: videoPath,
        options: [...UPLOAD_INPUT_OPTIONS, ...(decoder === undefined ? [] : ['-c:v', decoder]), '-xerror'],
      },
    ],
    outputOptions: [
      ...['-map', `0:${facts.index}`, '-an', '-sn', '-dn'],
      ...['-vf', filters.join(',')],
      // ffmpeg would bring uneven times to even ones.
      ...(rate === undefined ? ['-vsync', 'passthrough'] : []),
      ...(format === 'jpg' ? JPEG_QUALITY : []),
      ...(frameLimit === undefined ? [] : ['-frames:v', String(frameLimit)]),
      ...['-f', 'image2', '-start_number', '0'],
    ],
    // A percent sign in the folder's path must be doubled, or ffmpeg would read it as a number's place.
    outputPath: `${folder.replaceAll('%', '%%')}/${NAME_PATTERN}.${format}`,
  };
}

/** HDR to usual brightness, and the wide colours of BT.2020 to those of BT.709. */
function gamutFilters(facts: VideoFacts): string[] {
  const isHdr = hdrName(facts) !== undefined;
  if (!isHdr && facts.primaries !== 'bt2020') return [];
  const given = [
    ...(facts.matrix === undefined ? ['min=bt2020nc'] : []),
    ...(facts.primaries === undefined ? ['pin=bt2020'] : []),
    ...(facts.transfer === undefined ? ['tin=bt709'] : []),
  ];
  if (!isHdr) return [`zscale=${[...given, 'p=bt709', 't=bt709', 'm=bt709'].join(':')}`];
  return [
    `zscale=${[...given, 't=linear', `npl=${PAPER_WHITE}`].join(':')}`,
    'format=gbrpf32le',
    'zscale=p=bt709',
    `tonemap=mobius:param=${KNEE}:peak=${HIGHLIGHTS}:desat=0`,
    'zscale=t=bt709',
    'format=gbrp',
  ];
}

/**
 * JPEG is full-range BT.601 by definition (JFIF), video of this size usually narrow BT.709. The chroma of nearly every
 * video has half the resolution anyway, so a JPEG that does the same loses none of it.
 */
function jpegFilters(facts: VideoFacts): string[] {
  return [`scale=${matrixOf(facts)}out_color_matrix=bt601:out_range=pc:${SCALE_FLAGS}`, 'format=yuvj420p'];
}

function pngFilters(facts: VideoFacts): string[] {
  const form = facts.hasAlpha ? 'rgba' : 'rgb24';
  return [`scale=${matrixOf(facts)}${SCALE_FLAGS}+full_chroma_inp`, `format=${form}`];
}

/** The matrix of a video that does not tell its own. It means nothing to one that has RGB. */
function matrixOf({ matrix, width, height }: VideoFacts): string {
  const isHd = Math.max(width, height) >= HD_SIDES.longer || Math.min(width, height) >= HD_SIDES.shorter;
  return matrix === undefined && isHd ? 'in_color_matrix=bt709:' : '';
}
