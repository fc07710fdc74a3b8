/** One avatar: its background pictures and crop rects, opened and checked together. */

import { hasIdleClip, hasPictures, type ModelConfig } from '../../shared/config/model-config.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { AvatarFrames, GivenFace, Rect } from '../pipeline/contract.ts';
import type { BackdropSource } from './backdrop.ts';
import { listBackgroundFiles } from './background-files.ts';
import { checkCropRects, readCropRects } from './crop-rects.ts';
import { type FaceKind, type Faces, openFaces } from './face-frames.ts';
import { checkedPendingVideo, type FrameSource, locateFrames, pendingVideo, readyFrameFolder } from './frame-folder.ts';
import { backgroundsOf, facesOf, idleClipOf, sourcesOf } from './frame-sources.ts';
import { checkIdleSize } from './idle-pictures.ts';
import { findMasks } from './mask-files.ts';
import { hasAlpha } from './picture-alpha.ts';
import { decodePicture, type PictureSize, readPictureFile, readPictureSize } from './picture-file.ts';

export interface Avatar extends AvatarFrames {
  readonly modelId: string;
  /** Of every background. */
  readonly size: PictureSize;
  /** Whether the pictures have alpha: the first one says it for all. */
  readonly hasAlpha: boolean;
  /** What is to be seen behind them; absent: their alpha is left out, but for outputs that keep it. */
  readonly backdrop?: BackdropSource | undefined;
  /** The files of picture `index`: the background, the pictures of the face in it, and its mask. */
  source(index: number): PictureSource;
}

/** The files of one of an avatar's pictures. */
export interface PictureSource {
  readonly background: string;
  readonly crop?: string | undefined;
  readonly roi?: string | undefined;
  readonly mask?: string | undefined;
}

/** The signal of an extraction that is never aborted. */
const GOING_ON = AbortSignal.any([]);

/**
 * Opens an avatar: extracts pictures that are still in a video, lists them, reads the size of the first and checks
 * every crop rect against it. Pixels are decoded when they are asked for; a picture of another size is found then.
 * @param signal ends an extraction.
 * @throws FarmError `model_unusable` with what was found, what is expected and the path; `storage_failed` when pictures
 * of a video cannot be written; `signal.reason` once the signal is aborted.
 */
export async function openAvatar(model: ModelConfig, signal: AbortSignal = GOING_ON): Promise<Avatar> {
  const { modelId, cropRectsPath } = model;
  if (!hasPictures(model)) return withoutPictures(modelId);
  return await named(modelId, async () => {
    const rects = await readCropRects(cropRectsPath);
    const paths = await readyBackgrounds(model, rects.length, signal);
    const size = await readPictureSize(paths[0] ?? '');
    checkCropRects(rects, { ...size, frameCount: paths.length }, cropRectsPath);
    const rect = (index: number) => rectAt(rects, index, paths.length);
    const faces = await readyFaces(model, paths.length, signal);
    const masks = model.masksDir === '' ? undefined : await findMasks(model.masksDir, paths);
    const decode = async (path: string) => await decodePicture(await readPictureFile(path), size, path);
    return {
      ...{ modelId, frameCount: paths.length, ...size, size, blend: model.blend },
      ...(await alphaOf(model, paths[0] ?? '')),
      rect,
      source: (index) => ({
        background: paths[index] ?? '',
        crop: faces.get('crop')?.path(index),
        roi: faces.get('roi')?.path(index),
        mask: masks?.[index],
      }),
      background: async (index) => await decode(pathAt(paths, index)),
      ...(faces.size === 0 ? {} : { face: (index) => readFaces(faces, index) }),
      ...(masks && { mask: async (index) => await decode(pathAt(masks, index)) }),
    };
  });
}

/**
 * Checks an avatar's files without decoding a pixel: only names, the crop rects and the first picture's header.
 * Pictures that are still in a video are no problem, and what depends on them is not checked.
 * @returns every problem found, as sentences that name the path; none when the avatar can be opened.
 */
export async function checkAvatarFiles(model: ModelConfig): Promise<string[]> {
  if (!hasPictures(model)) return [];
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
  const paths = await attempt(async () => listReady(await backgroundsOf(model), model.frameLimit));
  const first = paths?.[0];
  const size = first === undefined ? undefined : await attempt(() => readPictureSize(first));
  const rects = await attempt(() => readCropRects(model.cropRectsPath));
  if (paths !== undefined && size !== undefined && rects !== undefined) {
    await attempt(() => checkCropRects(rects, { ...size, frameCount: paths.length }, model.cropRectsPath));
  }
  if (model.backdropPicture !== '') await attempt(() => readPictureSize(model.backdropPicture));
  if (model.masksDir !== '' && paths !== undefined) await attempt(() => findMasks(model.masksDir, paths));
  const idle = hasIdleClip(model) ? await attempt(async () => listReady(await idleClipOf(model))) : undefined;
  if (idle?.[0] !== undefined && size !== undefined) await attempt(() => checkIdleSize(idle[0] ?? '', size));
  for (const [kind, source] of (await attempt(() => facesOf(model))) ?? []) {
    // A folder of pictures is looked at as it is when the avatar is opened.
    await attempt(
      async () => (await listReady(source)) && openFaces(kind, await locateFrames(source), paths?.length ?? 1),
    );
  }
  return problems;
}

/**
 * Extracts the pictures that are still in videos, so that opening the avatar takes no longer than it does later.
 * @throws as openAvatar does for a video that cannot be read.
 */
export async function extractPictures(model: ModelConfig, signal: AbortSignal = GOING_ON): Promise<void> {
  await named(model.modelId, async () => {
    if ((await sourcesOf(model)).every(({ video }) => video === '')) return;
    const rects = await readCropRects(model.cropRectsPath);
    const paths = await readyBackgrounds(model, rects.length, signal);
    for (const [, source] of await facesOf(model)) await readyFaceFolder(source, paths.length, signal);
    if (hasIdleClip(model)) await readyFrameFolder(await idleClipOf(model), signal);
  });
}

/** A backdrop is for pictures that let it through. */
async function alphaOf(
  { backdropColour, backdropPicture }: ModelConfig,
  firstPath: string,
): Promise<Pick<Avatar, 'hasAlpha' | 'backdrop'>> {
  if (!(await hasAlpha(firstPath))) return { hasAlpha: false };
  if (backdropPicture !== '') return { hasAlpha: true, backdrop: { path: backdropPicture } };
  return { hasAlpha: true, ...(backdropColour === '' ? {} : { backdrop: { colour: backdropColour } }) };
}

/** The avatar of a network alone. */
function withoutPictures(modelId: string): Avatar {
  const size = { width: 0, height: 0 };
  return {
    ...{ modelId, frameCount: 0, ...size, size, hasAlpha: false },
    rect: (index) => rectAt([], index, 0),
    source: () => ({ background: '' }),
    background: async (index) => {
      throw new RangeError(`model ${modelId} has no background ${index}: it has no pictures`);
    },
  };
}

/** Paths of the background pictures, extracted first where they are still in a video. */
async function readyBackgrounds(model: ModelConfig, rectCount: number, signal: AbortSignal): Promise<string[]> {
  const { frameLimit, cropRectsPath } = model;
  // Rects beyond the pictures of a folder are ignored; those of a video are for each of its pictures, or it is the wrong one.
  const needed =
    frameLimit === undefined
      ? { frames: rectCount, for: `${rectCount} crop rects in ${cropRectsPath}`, exactly: true }
      : { frames: frameLimit, for: `num_frames = ${frameLimit}` };
  const folder = await readyFrameFolder({ ...(await backgroundsOf(model)), needed }, signal);
  return await listBackgroundFiles(folder, frameLimit);
}

async function readyFaceFolder(source: FrameSource, frameCount: number, signal: AbortSignal): Promise<string> {
  const needed = { frames: frameCount, for: `${frameCount} background frames` };
  return await readyFrameFolder({ ...source, needed }, signal);
}

/**
 * The videos whose pictures have to be extracted before the avatar can be opened.
 * @throws FarmError `model_unusable` when one of them cannot be read.
 */
export async function videosToExtract(model: ModelConfig): Promise<string[]> {
  return (await Promise.all((await sourcesOf(model)).map(pendingVideo))).filter((video) => video !== undefined);
}

/** Paths of a source's pictures; undefined while they are still in their video. */
async function listReady(source: FrameSource, frameLimit?: number): Promise<string[] | undefined> {
  if ((await checkedPendingVideo(source)) !== undefined) return undefined;
  return await listBackgroundFiles(await locateFrames(source), frameLimit);
}

async function readyFaces(model: ModelConfig, frameCount: number, signal: AbortSignal) {
  const faces = new Map<FaceKind, Faces>();
  for (const [kind, source] of await facesOf(model)) {
    faces.set(kind, await openFaces(kind, await readyFaceFolder(source, frameCount, signal), frameCount));
  }
  return faces;
}

async function readFaces(faces: ReadonlyMap<FaceKind, Faces>, index: number): Promise<GivenFace> {
  const [crop, roi] = await Promise.all([faces.get('crop')?.read(index), faces.get('roi')?.read(index)]);
  return { crop, roi };
}

/** Puts the model's id in front of the messages of errors. */
async function named<T>(modelId: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (cause) {
    if (!(cause instanceof FarmError)) throw cause;
    throw new FarmError(cause.code, `model ${modelId}: ${cause.message}`, { cause });
  }
}

function pathAt(paths: readonly string[], index: number): string {
  const path = paths[index];
  if (path === undefined) throw new RangeError(`background ${index} is outside 0 … ${paths.length - 1}`);
  return path;
}

function rectAt(rects: readonly Rect[], index: number, frameCount: number): Rect {
  const rect = index < frameCount ? rects[index] : undefined;
  if (rect === undefined) throw new RangeError(`crop rect ${index} is outside 0 … ${frameCount - 1}`);
  return rect;
}
