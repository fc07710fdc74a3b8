/**
 * The order of the stages, and nothing else:
 *
 *   sound → mel → windows → encoder → feature rows → audio input ┐
 *                                                                ├→ network → composite
 *   place in the walk → background → crop → visual input         ┘
 *
 * Each function computes one stretch of it: `encodeWindows` for a run of the encoder, `loadBackground` for a frame,
 * `renderRun` for a run of the network.
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
  type NetworkSize,
  outputFloats,
  type RgbImage,
  type RunBuffers,
  visualInputFloats,
} from './contract.ts';
import { readMel } from './mel.ts';
import { writeVisualInput } from './picture-floats.ts';
import { melFrameCount, melFramesOfWindows, paddedSampleCount } from './sound-ranges.ts';
import { StageClock } from './stage-timings.ts';
import { fillCrop } from './visual-input.ts';
import { gatherWindows } from './windows.ts';

export { checkFace } from './background.ts';
export { gatherFeatureRows } from './feature-rows.ts';
export { readMel } from './mel.ts';
export { makeCrop } from './visual-input.ts';

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
 * background → crop → visual input, feature rows → audio input; both → network → composite.
 * @param frames as many as `buffers` holds.
 * @returns the pictures of the wanted frames, in order, each the receiver's own.
 */
export async function renderRun(
  frames: readonly FrameInputs[],
  network: LipSyncNetwork,
  buffers: RunBuffers,
): Promise<RgbImage[]> {
  for (const [place, frame] of frames.entries()) writeInputs(frame, place, network.size, buffers);
  const output = await runNetwork(frames, network, buffers);
  return frames.flatMap((frame, place) =>
    frame.wanted ? [composite(frame, place, network.size, output, buffers)] : [],
  );
}

function writeInputs(frame: FrameInputs, place: number, size: NetworkSize, { visual, audio, crops }: RunBuffers): void {
  const { avatar, background, backgroundIndex: index, face, audioInput, visualInput } = frame;
  const crop = crops[place] as RgbImage;
  const visualAt = place * visualInputFloats(size);
  const audioAt = place * AUDIO_INPUT_FLOATS;
  const clock = new StageClock(frame.timings);
  checkBackground(background, avatar.rect(index), avatar, index);
  if (face) checkFace(face, size, index);
  fillCrop(crop, avatar, index, background, face?.crop);
  if (visualInput instanceof Float32Array) visual.set(visualInput, visualAt);
  else if (visualInput) writeVisualInput(visualInput, size, visual, visualAt);
  else writeVisualInput(crop, size, visual, visualAt, face?.roi);
  if (audioInput instanceof Float32Array) audio.set(audioInput, audioAt);
  else writeAudioInput(audioInput.rows, frame.frameIndex, audio, audioAt, audioInput.rowsAhead);
  clock.lap('visualInput');
}

/** @returns [count, 3, S, S], valid until the next run; each frame's timings grow by its share. */
async function runNetwork(
  frames: readonly FrameInputs[],
  network: LipSyncNetwork,
  { visual, audio }: RunBuffers,
): Promise<Float32Array> {
  const startedAt = performance.now();
  const output = await network.generate(visual, audio, frames.length);
  const frameMs = (performance.now() - startedAt) / frames.length;
  for (const { timings } of frames) timings.inference += frameMs;
  return output;
}

function composite(
  { avatar, background, backgroundIndex: index, timings }: FrameInputs,
  place: number,
  size: NetworkSize,
  output: Float32Array,
  { crops, makePixels }: RunBuffers,
): RgbImage {
  const clock = new StageClock(timings);
  const crop = crops[place] as RgbImage;
  const pixels = makePixels(background.data.length);
  const image = compositeFrame(output, place * outputFloats(size), size, crop, background, avatar.rect(index), pixels);
  clock.lap('composite');
  return image;
}
