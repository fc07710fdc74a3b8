/** Where a model's pictures come from: its backgrounds, the pictures of faces that it has been given, and its idle clip. */

import { hasIdleClip, type ModelConfig } from '../../shared/config/model-config.ts';
import { hearingOfModel } from '../../shared/config/model-hearing.ts';
import { AUDIO_KIND_FACTS } from '../../shared/sound/audio-kinds.ts';
import type { FrameRate } from '../../shared/sound/frame-rate.ts';
import type { FaceKind } from './face-frames.ts';
import type { FrameSource } from './frame-folder.ts';

/** All of them. @throws as `hearingOfModel` for a model that has a video. */
export async function sourcesOf(model: ModelConfig): Promise<FrameSource[]> {
  const idle = hasIdleClip(model) ? [await idleClipOf(model)] : [];
  return [await backgroundsOf(model), ...(await facesOf(model)).map(([, source]) => source), ...idle];
}

export async function backgroundsOf(model: ModelConfig): Promise<FrameSource> {
  const { backgroundDir: folder, sourceVideo: video, frameLimit } = model;
  return { folder, video, frameLimit, format: 'jpg', rate: await rateOf(model, video) };
}

/** Faces are small, and the network sees them as they are, so they are extracted without loss. */
export async function facesOf(model: ModelConfig): Promise<[FaceKind, FrameSource][]> {
  const { cropsDir, cropsVideo, roisDir, roisVideo, frameLimit } = model;
  const rate = await rateOf(model, cropsVideo || roisVideo);
  const sources: [FaceKind, FrameSource][] = [
    ['crop', { folder: cropsDir, video: cropsVideo, frameLimit, format: 'png', rate }],
    ['roi', { folder: roisDir, video: roisVideo, frameLimit, format: 'png', rate }],
  ];
  return sources.filter(([, { folder, video }]) => folder !== '' || video !== '');
}

/** Its idle clip, if it has one: pictures that are shown as they are, as many as there are. */
export async function idleClipOf(model: ModelConfig): Promise<FrameSource> {
  const { idleDir: folder, idleVideo: video } = model;
  return { folder, video, frameLimit: undefined, format: 'jpg', rate: await rateOf(model, video) };
}

/** The rate at which pictures are taken from a video: that of the videos that such networks are trained with. */
async function rateOf(model: ModelConfig, video: string): Promise<FrameRate | undefined> {
  return video === '' ? undefined : AUDIO_KIND_FACTS[(await hearingOfModel(model)).kind].framesPerSecond;
}
