/**
 * The order of the stages, and nothing else:
 *
 *   sound → mel → windows → encoder → feature rows → audio input ┐
 *                                                                ├→ network → mouth → composite
 *   place in the walk → background → crop → visual input         ┘
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
  type FrameBackground,
  type FrameInputs,
  type IndexRange,
  type LipSyncNetwork,
  type MouthFrame,
  mouthBytes,
  type NetworkSize,
  outputFloats,
  type RgbImage,
  type RunBuffers,
  visualInputFloats,
} from './contract.ts';
import { readMel } from './mel.ts';
import { writeMouth } from './mouth.ts';
import { writeVisualInput } from './picture-floats.ts';
import { melFrameCount, melFramesOfWindows, paddedSampleCount } from './sound-ranges.ts';
import { StageClock } from './stage-timings.ts';
import { fillCrop } from './visual-input.ts';
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
 * background → crop → visual input, feature rows → audio input; both → network → mouth.
 * @param frames as many as `buffers` holds.
 * @param mouths receives [count, S, S, 3] RGB.
 */
export async function renderRun(
  frames: readonly FrameInputs[],
  network: LipSyncNetwork,
  buffers: RunBuffers,
  mouths: Uint8Array,
): Promise<void> {
  for (const [place, frame] of frames.entries()) writeInputs(frame, place, network.size, buffers);
  const startedAt = performance.now();
  const output = await network.generate(buffers.visual, buffers.audio, frames.length);
  for (const place of frames.keys()) {
    const mouth = mouths.subarray(place * mouthBytes(network.size), (place + 1) * mouthBytes(network.size));
    writeMouth(output, place * outputFloats(network.size), network.size, mouth);
  }
  const frameMs = (performance.now() - startedAt) / frames.length;
  for (const { timings } of frames) timings.inference += frameMs;
}

function writeInputs(frame: FrameInputs, place: number, size: NetworkSize, { visual, audio, crop }: RunBuffers): void {
  const { avatar, background, backgroundIndex: index, face, audioInput, visualInput } = frame;
  const visualAt = place * visualInputFloats(size);
  const audioAt = place * AUDIO_INPUT_FLOATS;
  const clock = new StageClock(frame.timings);
  checkBackground(background, avatar.rect(index), avatar, index);
  if (face) checkFace(face, size, index);
  if (visualInput instanceof Float32Array) visual.set(visualInput, visualAt);
  else if (visualInput) writeVisualInput(visualInput, size, visual, visualAt);
  else {
    fillCrop(crop, avatar, index, background, face?.crop);
    writeVisualInput(crop, size, visual, visualAt, face?.roi);
  }
  if (audioInput instanceof Float32Array) audio.set(audioInput, audioAt);
  else writeAudioInput(audioInput.rows, frame.frameIndex, audio, audioAt, audioInput.rowsAhead);
  clock.lap('visualInput');
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
