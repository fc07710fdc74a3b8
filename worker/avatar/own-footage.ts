/** A person's own video → the pictures and crop rects of an avatar that one render has for itself. */

import { artifactKeys } from '../../shared/artifacts/keys.ts';
import type { ArtifactStore } from '../../shared/artifacts/store.ts';
import type { Config } from '../../shared/config/load.ts';
import type { ErrorCode } from '../../shared/errors/catalogue.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { DiskReserve } from '../../shared/files/disk-reserve.ts';
import { readWholeFile } from '../../shared/files/regular-file.ts';
import { decodeText } from '../../shared/files/text-file.ts';
import { logged } from '../../shared/process/unheard.ts';
import type { Footage, MarkForm } from '../../shared/renders/footage.ts';
import { type FrameRate, USUAL_FRAME_RATE } from '../../shared/sound/frame-rate.ts';
import { LARGEST_SIDE } from '../compositor/contract.ts';
import type { Rect } from '../pipeline/contract.ts';
import { listBackgroundFiles, numberOfPicture } from './background-files.ts';
import { checkCropRects, parseCropRects } from './crop-rects.ts';
import { extractFrames } from './extract-frames.ts';
import { type FootageFacts, footageSeconds, framesInPictures, listFootageFrames } from './footage-frames.ts';
import { cropRectsFromLandmarks } from './landmarks.ts';
import { readPictureSize } from './picture-file.ts';

export interface FootageTools {
  readonly config: Pick<Config, 'limits'>;
  readonly artifacts: ArtifactStore;
  readonly disk: DiskReserve;
}

/** What is asked of a render with footage. */
interface OfFootage {
  readonly renderId: string;
  readonly request: { readonly footage: Footage; readonly frameRate?: FrameRate | undefined };
}

/** What a picture takes on the disk, extracted and prepared, for each of its pixels. */
const BYTES_PER_PIXEL = 0.7;

/**
 * Extracts the pictures of a render's footage, one for each of its frames, and finds the crop rect of each. Done again it changes
 * nothing; one that was interrupted begins anew.
 * @returns the number of pictures, at least 1.
 * @throws FarmError `landmarks_unusable`, `video_unreadable`, `video_too_long`: faults of what was uploaded;
 * `render_not_resumable` when it is gone; `storage_full` where the disk has no room; `signal.reason` once it is aborted.
 */
export async function readyFootage(
  { config, artifacts, disk }: FootageTools,
  { renderId, request: { footage, frameRate = USUAL_FRAME_RATE } }: OfFootage,
  signal: AbortSignal,
): Promise<number> {
  const rectsKey = artifactKeys.footageRects(renderId);
  const present = await readyPictures(artifacts, renderId);
  if (present !== undefined) return present;
  const [video, marks] = [artifactKeys.footageVideo(renderId), artifactKeys.footageMarks(renderId)];
  const sizes = await Promise.all([video, marks].map((key) => artifacts.size(key)));
  if (sizes.includes(undefined)) {
    throw new FarmError('render_not_resumable', `The footage of render ${renderId} is not in the store`);
  }
  await using uploads = await artifacts.checkOut([video, marks], { signal });
  const given = await readMarks(uploads.path(marks), footage.marks);
  const videoPath = uploads.path(video);
  const facts = await listFootageFrames(videoPath, footage.fileName, signal);
  checkFacts(facts, footage.fileName, config.limits.max_video_minutes);
  const frameLimit = Math.ceil(config.limits.max_video_minutes * 60 * frameRate);
  await disk.refuseIfShort(BYTES_PER_PIXEL * facts.width * facts.height * footageSeconds(facts) * frameRate);
  // A job that was believed dead may go on when another one has made them; what that has made stays.
  const made = await readyPictures(artifacts, renderId);
  if (made !== undefined) return made;
  await artifacts.remove(artifactKeys.footageFolder(renderId));
  try {
    const rects = await artifacts.publishFolder(artifactKeys.footagePictures(renderId), async (folder) => {
      const found = await blaming('video_unreadable', { [videoPath]: footage.fileName }, async () => {
        const pictures = await extractFrames(videoPath, folder, { frameLimit, rate: frameRate }, signal);
        return rectsOfPictures(given, facts, { pictures, frameRate }, footage.marks);
      });
      await blaming('landmarks_unusable', {}, async () =>
        checkCropRects(found, { ...(await pictureSize(folder)), frameCount: found.length }, footage.marks),
      );
      return found;
    });
    await artifacts.put(rectsKey, JSON.stringify(rects.map(cornersOf)));
    return rects.length;
  } catch (error) {
    // What is there may be another job's by now. Whatever is left of this one goes when it is made again.
    if (signal.aborted) throw error;
    const madeMeanwhile = await readyPictures(artifacts, renderId);
    if (madeMeanwhile !== undefined) return madeMeanwhile;
    const stays = logged('could not remove the pictures of footage that cannot be used; they go with the render');
    await artifacts.remove(artifactKeys.footageFolder(renderId)).catch(stays);
    throw error;
  }
}

/** How many pictures there are, where all are there that have a rect. */
async function readyPictures(artifacts: ArtifactStore, renderId: string): Promise<number | undefined> {
  const { footageRects, footagePictures } = artifactKeys;
  const rects = await artifacts.contents(footageRects(renderId));
  if (rects === undefined) return undefined;
  const { length } = parseCropRects(rects.toString(), footageRects(renderId));
  let pictures = 0;
  for await (const { key } of artifacts.list(footagePictures(renderId))) {
    if (numberOfPicture(key) !== undefined) pictures++;
  }
  // Where some are gone from the store, all are made again.
  return pictures < length ? undefined : length;
}

function checkFacts(facts: FootageFacts, name: string, mostMinutes: number): void {
  const { width, height } = facts;
  if (footageSeconds(facts) >= mostMinutes * 60) {
    const got = `The video ${name} lasts ${(footageSeconds(facts) / 60).toFixed(1)} min`;
    throw new FarmError('video_too_long', `${got}; limits.max_video_minutes allows ${mostMinutes}`);
  }
  if (Math.max(width, height) <= LARGEST_SIDE) return;
  const got = `The pictures of the video ${name} are ${width}×${height}`;
  throw new FarmError('video_unreadable', `${got}; expected at most ${LARGEST_SIDE} pixels on either side`);
}

async function readMarks(path: string, form: MarkForm): Promise<Rect[]> {
  return await blaming('landmarks_unusable', { [path]: form }, async () => {
    const { text } = decodeText(await readWholeFile(path), path, 'model_unusable');
    return form === 'rects' ? parseCropRects(text, path) : cropRectsFromLandmarks(text, path);
  });
}

/** One rect a picture, of rects that are given for each frame of the video or for each of its pictures. */
function rectsOfPictures(
  given: readonly Rect[],
  facts: FootageFacts,
  { pictures, frameRate }: { readonly pictures: number; readonly frameRate: FrameRate },
  form: MarkForm,
): readonly Rect[] {
  const frames = facts.frameTicks.length;
  if (given.length === frames) return framesInPictures(facts, pictures, frameRate).map((frame) => given[frame] as Rect);
  if (given.length === pictures) return given;
  const has = frames === pictures ? `${frames} frames` : `${frames} frames, ${pictures} at ${frameRate} a second`;
  throw new FarmError('landmarks_unusable', `${form} are given for ${given.length} frames; the video has ${has}`);
}

async function pictureSize(folder: string) {
  const [first = ''] = await listBackgroundFiles(folder, 1);
  return await readPictureSize(first);
}

function cornersOf({ x1, y1, x2, y2 }: Rect): number[] {
  return [x1, y1, x2, y2];
}

/**
 * Gives what is wrong with a file as with an avatar's own the code of the upload that it came from.
 * @param names in place of paths in messages: whoever has sent the file knows no paths of the farm.
 */
async function blaming<T>(
  code: ErrorCode,
  names: Readonly<Record<string, string>>,
  read: () => Promise<T>,
): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    if (!(cause instanceof FarmError) || cause.code !== 'model_unusable') throw cause;
    const message = Object.entries(names).reduce((text, [path, name]) => text.replaceAll(path, name), cause.message);
    throw new FarmError(code, message, { cause });
  }
}
