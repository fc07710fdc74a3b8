/** One avatar: its background pictures and crop rects, opened and checked together. */

import { FarmError } from '../../shared/errors.ts';
import type { AvatarFrames, GivenFace, Rect, RgbImage } from '../pipeline/contract.ts';
import { listBackgroundFiles } from './background-files.ts';
import { BackgroundFrames } from './background-frames.ts';
import { checkCropRects, readCropRects } from './crop-rects.ts';
import { type FaceKind, openFaces } from './face-frames.ts';
import { type FrameSource, locateFrames, pendingVideo, readyFrameFolder } from './frame-folder.ts';
import { readPictureSize } from './picture-file.ts';

/** Where an avatar's files are. A folder without pictures gets them from its video, where it has one. */
export interface AvatarFiles {
  /** Folder of numbered pictures; `""`: one beside the source video, made from it. */
  readonly backgroundDir: string;
  readonly sourceVideo?: string | undefined;
  /** JSON file of crop rects, one a picture. */
  readonly cropRectsPath: string;
  /** `num_frames`: how many of the pictures are used, all when absent. */
  readonly frameLimit?: number | undefined;
  /** Pictures of the faces, cut out already. All absent or `""`: the pipeline cuts them out. */
  readonly cropsDir?: string | undefined;
  readonly cropsVideo?: string | undefined;
  /** Pictures of the faces from which the mouth is hidden. All absent or `""`: it is hidden from the crops. */
  readonly roisDir?: string | undefined;
  readonly roisVideo?: string | undefined;
}

export interface OpenAvatarOptions extends AvatarFiles {
  readonly modelId: string;
  /** Background pictures kept in memory, coded, ≥ 1. */
  readonly cachedFrames: number;
}

export interface Avatar extends AvatarFrames {
  readonly modelId: string;
  /** Bytes of the pictures that are kept in memory. */
  readonly cachedBytes: number;
  /** Loads a background that will be read later, while there is room; an index outside the avatar does nothing. */
  prefetch(index: number): void;
}

/** An extraction that nobody may end. */
const GOING_ON = AbortSignal.any([]);

/**
 * Opens an avatar: extracts pictures that are still in a video, lists them, reads the size of the first and checks every
 * crop rect against it. Pixels are decoded when they are asked for; a picture of another size is found then.
 * @param signal ends an extraction.
 * @throws FarmError `model_unusable` with what was found, what is expected and the path; `storage_failed` when pictures of
 * a video cannot be written; `signal.reason` once the signal is aborted.
 */
export async function openAvatar(options: OpenAvatarOptions, signal: AbortSignal = GOING_ON): Promise<Avatar> {
  const { modelId, cropRectsPath, cachedFrames } = options;
  return await named(modelId, async () => {
    const folder = await readyFrameFolder(backgroundsOf(options), signal);
    const paths = await listBackgroundFiles(folder, options.frameLimit);
    const size = await readPictureSize(paths[0] ?? folder);
    const rects = await readCropRects(cropRectsPath);
    checkCropRects(rects, { ...size, frameCount: paths.length }, cropRectsPath);
    const rect = (index: number) => rectAt(rects, index, paths.length);
    const frames = new BackgroundFrames({ paths, size, rect, cachedFrames });
    const faces = await readyFaces(options, paths.length, signal);
    return {
      modelId,
      frameCount: paths.length,
      ...size,
      rect,
      get cachedBytes() {
        return frames.cachedBytes;
      },
      background: (index) => frames.read(index),
      crop: (index, cut) => frames.crop(index, cut),
      ...(faces.size === 0 ? {} : { face: (index) => readFaces(faces, index) }),
      prefetch: (index) => frames.prefetch(index),
    };
  });
}

/**
 * Checks an avatar's files without decoding a pixel: only names, the crop rects and the first picture's header. Pictures
 * that are still in a video are no problem, and what depends on them is not checked.
 * @returns every problem found, as sentences that name the path; none when the avatar can be opened.
 */
export async function checkAvatarFiles(files: AvatarFiles): Promise<string[]> {
  const problems: string[] = [];
  const attempt = async <T>(step: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await step();
    } catch (thrown) {
      if (!(thrown instanceof FarmError)) throw thrown;
      problems.push(thrown.message);
      return undefined;
    }
  };
  const paths = await attempt(() => listReady(backgroundsOf(files), files.frameLimit));
  const first = paths?.[0];
  const size = first === undefined ? undefined : await attempt(() => readPictureSize(first));
  const rects = await attempt(() => readCropRects(files.cropRectsPath));
  if (paths !== undefined && size !== undefined && rects !== undefined) {
    await attempt(() => checkCropRects(rects, { ...size, frameCount: paths.length }, files.cropRectsPath));
  }
  for (const [, source] of facesOf(files)) await attempt(() => listReady(source));
  return problems;
}

/**
 * The videos whose pictures have to be extracted before the avatar can be opened.
 * @throws FarmError `model_unusable` when one of them cannot be read.
 */
export async function videosToExtract(files: AvatarFiles): Promise<string[]> {
  const sources = [backgroundsOf(files), ...facesOf(files).map(([, source]) => source)];
  return (await Promise.all(sources.map(pendingVideo))).filter((video) => video !== undefined);
}

function backgroundsOf({ backgroundDir, sourceVideo = '', frameLimit }: AvatarFiles): FrameSource {
  return { folder: backgroundDir, video: sourceVideo, frameLimit, format: 'jpg' };
}

/** Faces are small and what the network sees, so they are extracted without any loss. */
function facesOf(files: AvatarFiles): [FaceKind, FrameSource][] {
  const { cropsDir = '', cropsVideo = '', roisDir = '', roisVideo = '', frameLimit } = files;
  const sources: [FaceKind, FrameSource][] = [
    ['crop', { folder: cropsDir, video: cropsVideo, frameLimit, format: 'png' }],
    ['roi', { folder: roisDir, video: roisVideo, frameLimit, format: 'png' }],
  ];
  return sources.filter(([, { folder, video }]) => folder !== '' || video !== '');
}

/** The pictures of a source, undefined while they are still in their video. */
async function listReady(source: FrameSource, frameLimit?: number): Promise<string[] | undefined> {
  if ((await pendingVideo(source)) !== undefined) return undefined;
  return await listBackgroundFiles(await locateFrames(source), frameLimit);
}

type ReadFace = (index: number) => Promise<RgbImage>;

async function readyFaces(files: AvatarFiles, frameCount: number, signal: AbortSignal) {
  const faces = new Map<FaceKind, ReadFace>();
  for (const [kind, source] of facesOf(files)) {
    faces.set(kind, await openFaces(kind, await readyFrameFolder(source, signal), frameCount));
  }
  return faces;
}

async function readFaces(faces: ReadonlyMap<FaceKind, ReadFace>, index: number): Promise<GivenFace> {
  const [crop, roi] = await Promise.all([faces.get('crop')?.(index), faces.get('roi')?.(index)]);
  return { crop, roi };
}

/** Lets errors say whose they are. */
async function named<T>(modelId: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (cause) {
    if (!(cause instanceof FarmError)) throw cause;
    throw new FarmError(cause.code, `model ${modelId}: ${cause.message}`, { cause });
  }
}

function rectAt(rects: readonly Rect[], index: number, frameCount: number): Rect {
  const rect = index < frameCount ? rects[index] : undefined;
  if (rect === undefined) throw new RangeError(`crop rect ${index} is outside 0 … ${frameCount - 1}`);
  return rect;
}
