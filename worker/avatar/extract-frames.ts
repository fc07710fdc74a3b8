/** The pictures of a video → a folder of numbered picture files, whole or not at all. */

import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { ifMissing, logged } from '../../shared/process/unheard.ts';
import { type FrameRate, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { HOUR_MS, MB } from '../../shared/units.ts';
import { findCutOff } from '../media/cut-off.ts';
import { lookAtVideo, type VideoFacts } from '../media/video-facts.ts';
import { HDR_FILTERS, hdrName, type PictureFormat, videoFramesCommand } from '../media/video-frames.ts';
import { runFfmpeg } from '../tools/ffmpeg.ts';
import { hasFilters } from '../tools/ffmpeg-filters.ts';

export type { PictureFormat } from '../media/video-frames.ts';

/** Half an hour of 1080p takes about a quarter of this on two cores, so after this long ffmpeg hangs. */
const EXTRACTION_TIMEOUT_MS = HOUR_MS;
/** A disk with less free space than one picture needs is full. */
const FULL_DISK_BYTES = 4 * MB;

export interface ExtractOptions {
  /** `jpg` when absent: a tenth of a PNG's bytes, and quicker to decode. A video with alpha gives `png` in any case. */
  readonly format?: PictureFormat | undefined;
  /** Pictures a second: the avatar's. 25 when absent. */
  readonly rate?: FrameRate | undefined;
  /** Pictures at most; all when absent. */
  readonly frameLimit?: number | undefined;
  /**
   * Pictures that rects or landmarks belong to. A video that has so many itself gives each of them once, whatever its
   * rate and its times; any other is brought to `rate`.
   */
  readonly expected?: number | undefined;
  /**
   * Called with the number of pictures and what the video says of itself before the folder appears; when it throws, the
   * folder does not appear.
   */
  readonly check?: ((frameCount: number, facts: VideoFacts) => void) | undefined;
  /** Told what is not as good as it could be; the log when absent. */
  readonly note?: ((text: string) => void) | undefined;
}

/**
 * Writes the pictures of a video, at the avatar's rate or each once, as frame_000000.jpg (or .png) and up: upright, of one moment
 * each, in the colours that players show, HDR brought to usual brightness. They are written into a hidden folder
 * beside `folder`, which is then renamed: `folder` has all of them or none, whatever happens in between.
 * @param folder does not exist, or has hidden files (.gitkeep, .DS_Store) at most, which stay in it.
 * @returns the number of pictures, at least 1.
 * @throws FarmError `model_unusable` when the video was cut off, cannot be read to its end or has no picture, or when
 * `folder` has other files; `storage_failed` when the pictures cannot be written; `dependency_missing` without ffmpeg;
 * what `check` throws; `signal.reason` once the signal is aborted.
 */
export async function extractFrames(
  videoPath: string,
  folder: string,
  options: ExtractOptions,
  signal: AbortSignal,
): Promise<number> {
  const facts = await checkedFacts(videoPath, signal);
  const canMapHdr = await canMap(facts, videoPath, options.note ?? logNote, signal);
  const target = resolve(folder);
  const draft = newDraft(target);
  try {
    const frameCount = await writePictures({ videoPath, facts, canMapHdr, draft }, options, signal);
    if (frameCount === 0) throw new FarmError('model_unusable', `the video ${videoPath} has no pictures`);
    options.check?.(frameCount, facts);
    await publish(draft, target);
    return frameCount;
  } catch (error) {
    throw await explain(error, videoPath, target);
  } finally {
    const stays = logged('could not remove the draft of an extraction; the next one removes it');
    await rm(draft, { recursive: true, force: true }).catch(stays);
  }
}

interface Extraction {
  readonly videoPath: string;
  readonly facts: VideoFacts;
  readonly canMapHdr: boolean;
  readonly draft: string;
}

/** Each picture once, and if they are not as many as is expected, again at the rate. @returns how many there are. */
async function writePictures(
  { videoPath, facts, canMapHdr, draft }: Extraction,
  { format = 'jpg', rate = USUAL_FRAME_RATE, frameLimit, expected, note = logNote }: ExtractOptions,
  signal: AbortSignal,
): Promise<number> {
  const form = facts.hasAlpha ? 'png' : format;
  const write = async (rateOfPictures: FrameRate | undefined) => {
    await mkdir(draft, { recursive: true });
    const wanted = { folder: draft, format: form, rate: rateOfPictures, frameLimit, canMapHdr };
    await runFfmpeg(videoFramesCommand(videoPath, facts, wanted), { signal, timeoutMs: EXTRACTION_TIMEOUT_MS });
    return (await readdir(draft)).length;
  };
  if (expected === undefined) return await write(rate);
  const frameCount = await write(undefined);
  if (frameCount !== expected) {
    await rm(draft, { recursive: true });
    return await write(rate);
  }
  if (facts.rate !== undefined && facts.rate !== String(rate)) {
    const speed = `its ${facts.rate} pictures a second are shown ${rate} a second`;
    note(`the video ${videoPath} plays at another speed, as each of its pictures has a rect: ${speed}`);
  }
  return frameCount;
}

function newDraft(target: string): string {
  return join(dirname(target), `${draftPrefix(target)}${randomUUID()}`);
}

/**
 * What a video says of itself, if its pictures can be taken out as far as its headers show it.
 * @throws FarmError `model_unusable` when they cannot; `dependency_missing` without ffprobe.
 */
export async function checkedFacts(videoPath: string, signal: AbortSignal): Promise<VideoFacts> {
  await refuseCutOff(videoPath);
  const facts = await lookAtVideo(videoPath, signal);
  // ffmpeg turns pictures before it looks at their fields, and what were rows are columns then.
  if (!facts.isInterlaced || facts.turn % 180 === 0) return facts;
  const fault = `it is interlaced and to be turned by ${Math.abs(facts.turn)}°`;
  throw new FarmError('model_unusable', `the video ${videoPath} cannot be used: ${fault}; export it progressive`);
}

/** Whether the colours of a video can be brought to those of usual pictures, where that is needed. */
async function canMap(
  facts: VideoFacts,
  videoPath: string,
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<boolean> {
  const name = hdrName(facts);
  if (name === undefined && facts.primaries !== 'bt2020') return false;
  if (!facts.hasAlpha && (await hasFilters(HDR_FILTERS, signal))) return true;
  const why = facts.hasAlpha ? 'it has alpha' : `this ffmpeg has no filters ${HDR_FILTERS.join(' and ')}`;
  note(`the video ${videoPath} is ${name ?? 'BT.2020'}, and its colours stay pale: ${why}; export it as SDR`);
  return false;
}

function logNote(text: string): void {
  logged('the pictures of a video are not as good as they could be')(new Error(text));
}

/** @throws FarmError `model_unusable` naming a video that cannot be read, or that was cut off. */
export async function refuseCutOff(videoPath: string): Promise<void> {
  const missing = await findCutOff(videoPath).catch((cause: Error) => {
    throw new FarmError('model_unusable', `the video ${videoPath} cannot be read: ${cause.message}`, { cause });
  });
  if (missing === undefined) return;
  throw new FarmError(
    'model_unusable',
    `the video ${videoPath} is not whole: ${missing}; copy or download it again, or let the recording end`,
  );
}

/** Removes the drafts of killed extractions into `folder`. No extraction into it may be running. */
export async function removeDrafts(folder: string): Promise<void> {
  const target = resolve(folder);
  const names = await readdir(dirname(target)).catch(ifMissing<string[]>([]));
  for (const name of names.filter((candidate) => candidate.startsWith(draftPrefix(target)))) {
    // The ffmpeg of a process that was killed may still be writing: under another name it finds the folder no longer.
    const gone = newDraft(target);
    await rename(join(dirname(target), name), gone);
    await rm(gone, { recursive: true, force: true });
  }
}

function draftPrefix(target: string): string {
  return `.${basename(target)}.draft-`;
}

/** A folder can take the place of an empty one only. */
async function publish(draft: string, target: string): Promise<void> {
  const present = await readdir(target).catch(ifMissing<string[]>([]));
  const other = present.find((name) => !name.startsWith('.'));
  if (other !== undefined) {
    throw new FarmError('model_unusable', `${target} must be empty to receive pictures of a video: it has ${other}`);
  }
  for (const name of present) await rename(join(target, name), join(draft, name));
  await rename(draft, target);
}

async function explain(error: unknown, videoPath: string, target: string): Promise<unknown> {
  if (error instanceof Error && 'syscall' in error) {
    const { code } = FarmError.from(error, 'storage_failed');
    return new FarmError(code, `pictures cannot be written to ${target}: ${error.message}`, { cause: error });
  }
  if (!(error instanceof FarmError) || error.code !== 'encode_failed') return error;
  // ffmpeg fails in the same way for a bad video and for a full disk.
  const { bavail, bsize } = await statfs(dirname(target));
  if (bavail * bsize < FULL_DISK_BYTES) {
    return new FarmError('storage_full', `the disk of ${target} is full: ${error.message}`, { cause: error });
  }
  return new FarmError('model_unusable', `the video ${videoPath} cannot be read: ${error.message}`, { cause: error });
}
