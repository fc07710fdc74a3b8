/**
 * The order of the stages, and nothing else:
 *
 *   sound → mel → windows → encoder → feature rows → audio input ┐
 *                                                                ├→ network → mouth → composite
 *   place in the walk → background → crop → face                 ┘
 *
 * Each function computes one stretch of it: `encodeWindows` for a run of the encoder, `loadBackground` for a frame,
 * `renderRun` for a run of the network, `composeFrame` for a finished frame.
 */
import { writeAudioInput } from './audio-input.ts';
import { backgroundIndex, checkBackground, checkFace } from './background.ts';
import { compositeFrame } from './composite.ts';
import {
  AUDIO_INPUT_FLOATS,
  type AudioEncoder,
  type AudioSource,
  type AvatarFrames,
  type Faces,
  type FrameBackground,
  type FrameInputs,
  type GivenVisualInput,
  type IndexRange,
  type LipSyncNetwork,
  type MouthFrame,
  mouthBytes,
  type NetworkSize,
  type RgbImage,
  type RunBuffers,
  visualInputFloats,
} from './contract.ts';
import { readMel } from './mel.ts';
import { writeVisualInput } from './picture-floats.ts';
import { melFrameCount, melFramesOfWindows, paddedSampleCount } from './sound-ranges.ts';
import { StageClock } from './stage-timings.ts';
import { copyFace, fillCrop } from './visual-input.ts';
import { gatherWindows } from './windows.ts';

export { checkFace } from './background.ts';
export { compositeFrame } from './composite.ts';
export { gatherFeatureRows } from './feature-rows.ts';
export { readMel } from './mel.ts';
export { fillCrop, makeCrop } from './visual-input.ts';

/** sound → mel → windows → encoder. @returns [count, 512] flat. */
export async function encodeWindows(
  { audio, encoder }: { readonly audio: AudioSource; readonly encoder: AudioEncoder },
  windows: IndexRange,
  clock: StageClock,
): Promise<Float32Array> {
  const melFrameTotal = melFrameCount(paddedSampleCount(audio.sampleCount));
  clock.start();
  const mel = await readMel(audio, melFramesOfWindows(windows, melFrameTotal));
  const gathered = gatherWindows(mel, windows, melFrameTotal);
  clock.lap('mel');
  const features = await encoder.encode(gathered, windows.end - windows.start);
  clock.lap('encoder');
  return features;
}

/** place in the walk → background. @param position start_frame_idx + frame index. */
export async function loadBackground(avatar: AvatarFrames, position: number): Promise<FrameBackground> {
  const index = backgroundIndex(position, avatar.frameCount);
  const [background, face] = await Promise.all([avatar.background(index), avatar.face?.(index)]);
  return { backgroundIndex: index, background, face };
}

/**
 * background → crop → face, feature rows → audio input; both → network → mouth.
 * @param frames as many as `buffers` holds.
 * @param mouths receives [count, S, S, 3] RGB.
 */
export async function renderRun(
  frames: readonly FrameInputs[],
  network: LipSyncNetwork,
  buffers: RunBuffers,
  mouths: Uint8Array,
): Promise<void> {
  const faces = facesOf(frames, buffers);
  for (const [place, frame] of frames.entries()) writeInputs(frame, place, network.size, faces, buffers);
  const startedAt = performance.now();
  await network.paint(faces, buffers.audio, mouths, frames.length);
  const frameMs = (performance.now() - startedAt) / frames.length;
  for (const { timings } of frames) timings.inference += frameMs;
}

/** Where the faces of a run go: all as floats if one came so, with rois if one has its own. */
function facesOf(frames: readonly FrameInputs[], { crops, rois, visual }: RunBuffers): Faces {
  if (frames.some(({ visualInput }) => visualInput instanceof Float32Array)) return { visual: visual() };
  const ownRois = frames.some(({ visualInput, face }) => visualInput === undefined && face?.roi);
  return ownRois ? { crops, rois: rois() } : { crops };
}

function writeInputs(
  frame: FrameInputs,
  place: number,
  size: NetworkSize,
  faces: Faces,
  { audio, crop }: RunBuffers,
): void {
  const { avatar, background, backgroundIndex: index, face, audioInput, visualInput } = frame;
  const audioAt = place * AUDIO_INPUT_FLOATS;
  const clock = new StageClock(frame.timings);
  checkBackground(background, avatar.rect(index), avatar, index);
  if (face) checkFace(face, size, index);
  if (visualInput === undefined) fillCrop(crop, avatar, index, background, face?.crop);
  writeFace(visualInput ?? crop, visualInput ? undefined : face?.roi, place, size, faces);
  if (audioInput instanceof Float32Array) audio.set(audioInput, audioAt);
  else writeAudioInput(audioInput.rows, frame.frameIndex, audio, audioAt, audioInput.rowsAhead);
  clock.lap('visualInput');
}

/** @param given (S+8)², S², or [6, S, S] in a run of floats. */
function writeFace(
  given: GivenVisualInput,
  roi: RgbImage | undefined,
  place: number,
  size: NetworkSize,
  faces: Faces,
): void {
  if (given instanceof Float32Array) {
    if ('visual' in faces) faces.visual.set(given, place * visualInputFloats(size));
  } else if ('visual' in faces) {
    writeVisualInput(given, size, faces.visual, place * visualInputFloats(size), roi);
  } else {
    const at = (pictures: Uint8Array) => pictures.subarray(place * mouthBytes(size), (place + 1) * mouthBytes(size));
    copyFace(given, size, at(faces.crops));
    if (faces.rois) copyFace(roi ?? given, size, at(faces.rois));
  }
}

/**
 * mouth, background → composite.
 * @param crop (S+8)², overwritten.
 * @param pixels becomes the finished frame: as many bytes as the background has.
 */
export function composeFrame(frame: MouthFrame, crop: RgbImage, pixels: Uint8Array): RgbImage {
  const { avatar, background, backgroundIndex: index, face, size, mouth, timings } = frame;
  const clock = new StageClock(timings);
  fillCrop(crop, avatar, index, background, face?.crop);
  const image = compositeFrame(mouth, size, crop, background, avatar.rect(index), pixels);
  clock.lap('composite');
  return image;
}
