/**
 * The order of the stages, and nothing else:
 *
 *   sound → mel → windows → encoder → feature rows → audio input ┐
 *                                                                ├→ network → mouth → frame
 *   place in the walk → picture → face                           ┘
 *
 * Each function computes one stretch of it: `encodeWindows` for a run of the encoder, `loadPicture` for a frame,
 * `renderRun` for a run of the network, `generateRun` for one that leaves the mouths as floats. Pictures and faces are prepared once for each avatar (worker/prepared/), and
 * worker/compositor/ puts mouths into pictures. cut-pictures.ts makes both from the avatar's own files: slowly, in plain
 * TypeScript, for comparison.
 */

import { audioFloats, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import type { ChunkPlan } from '../../shared/sound/hubert-chunks.ts';
import type { IdleMoment } from '../../shared/sound/idle-track.ts';
import { writeAudioInput } from './audio-input.ts';
import { backgroundOfFrame, type Walk } from './background.ts';
import {
  type AudioEncoder,
  type AudioSource,
  type AvatarPictures,
  type Faces,
  type FrameInputs,
  type IndexRange,
  type LipSyncNetwork,
  type NetworkSize,
  outputFloats,
  type RunBuffers,
  visualInputFloats,
} from './contract.ts';
import { fbankFramesOfRows, gatherFbankWindows, readFbank } from './fbank.ts';
import { readChunk, rowsOfChunk, type SoundLevel } from './hubert-chunk.ts';
import { readMel } from './mel.ts';
import { pictureAt, writeVisualInput } from './picture-floats.ts';
import { melFrameCount, melFramesOfWindows, paddedSampleCount } from './sound-ranges.ts';
import { addRun, StageClock } from './stage-timings.ts';
import { gatherWindows } from './windows.ts';

export { checkBackground, checkFace } from './background.ts';
export { compositeFrame } from './composite.ts';
export { fadeMouth } from './fade-mouth.ts';
export { gatherFeatureRows } from './feature-rows.ts';
export { levelOfSound, samplesOfHubertChunk } from './hubert-chunk.ts';
export { readMel } from './mel.ts';
export { mouthWeights } from './mouth-weights.ts';
export { copyFace, cutCrop, fillCrop, makeCrop } from './visual-input.ts';

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

/** sound → filter banks → encoder, of WeNet's rows [start, end). @returns [count, 16 × 512] flat. */
export async function encodeFbank(
  { audio, encoder }: { readonly audio: AudioSource; readonly encoder: AudioEncoder },
  rows: IndexRange,
  clock: StageClock,
): Promise<Float32Array> {
  clock.start();
  const gathered = gatherFbankWindows(await readFbank(audio, fbankFramesOfRows(rows)), rows.end - rows.start);
  clock.lap('mel');
  const features = await encoder.encode(gathered, rows.end - rows.start);
  clock.lap('encoder');
  return features;
}

/** sound → HuBERT → feature rows, of one chunk. @returns [plan.rows, 2, 1024] flat. */
export async function encodeChunk(
  { audio, encoder }: { readonly audio: AudioSource; readonly encoder: AudioEncoder },
  chunk: number,
  plan: ChunkPlan,
  level: SoundLevel | undefined,
  clock: StageClock,
): Promise<Float32Array> {
  clock.start();
  const samples = await readChunk(audio, chunk, plan, level);
  clock.lap('mel');
  const states = await encoder.encode(samples, 1);
  clock.lap('encoder');
  return rowsOfChunk(states, chunk, plan, audio.sampleCount);
}

/**
 * place in the walk → picture, of frame `frame` of the model's own rate.
 * @param idle what it shows of the idle clip, which the avatar has then.
 */
export async function loadPicture<Picture>(
  pictures: AvatarPictures<Picture>,
  frame: number,
  walk: Walk,
  idle?: IdleMoment,
): Promise<{ readonly pictureIndex: number; readonly picture: Picture }> {
  const pictureIndex = backgroundOfFrame(frame, walk, pictures.frameCount);
  const shown = idle && (await pictures.idlePicture?.(pictureIndex, idle));
  return { pictureIndex, picture: shown ?? (await pictures.picture(pictureIndex)) };
}

/**
 * picture → face, feature rows → audio input; both → network → mouth.
 * @param frames as many as `buffers` holds.
 * @param mouths receives [count, S, S, 3] RGB.
 */
export async function renderRun(
  frames: readonly FrameInputs<unknown>[],
  network: LipSyncNetwork,
  buffers: RunBuffers,
  mouths: Uint8Array,
): Promise<void> {
  const faces = await gatherFaces(frames, network.size, buffers);
  gatherAudio(frames, network, buffers.audio);
  await timed(frames, () => network.paint(faces, buffers.audio, mouths, frames.length));
}

/**
 * As `renderRun`, with the network's own output in place of pictures.
 * @param mouths receives [count, 3, S, S] float32, BGR 0…1; begins at a multiple of 4 in its buffer.
 */
export async function generateRun(
  frames: readonly FrameInputs<unknown>[],
  network: LipSyncNetwork,
  buffers: RunBuffers,
  mouths: Uint8Array,
): Promise<void> {
  const faces = await gatherFaces(frames, network.size, buffers);
  gatherAudio(frames, network, buffers.audio);
  const output = new Float32Array(mouths.buffer, mouths.byteOffset, frames.length * outputFloats(network.size));
  await timed(frames, () => network.paintFloats(faces, buffers.audio, output, frames.length));
}

/** The audio input of every frame. */
function gatherAudio(
  frames: readonly FrameInputs<unknown>[],
  { hearing = USUAL_HEARING }: LipSyncNetwork,
  audio: Float32Array,
): void {
  for (const [place, { audioInput }] of frames.entries()) {
    const audioAt = place * audioFloats(hearing);
    if (audioInput instanceof Float32Array) audio.set(audioInput, audioAt);
    else writeAudioInput(audioInput.rows, audioInput.row, audio, audioAt, audioInput.rowsAhead, hearing);
  }
}

/** Runs the network and shares its time among the frames. */
async function timed<T>(frames: readonly FrameInputs<unknown>[], run: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await run();
  const endedAt = performance.now();
  const frameMs = (endedAt - startedAt) / frames.length;
  for (const { timings } of frames) addRun(timings, frameMs, startedAt, endedAt);
  return result;
}

/** Pictures, unless one of the frames has floats of its own: then all are floats, of the same value. */
async function gatherFaces(
  frames: readonly FrameInputs<unknown>[],
  size: NetworkSize,
  buffers: RunBuffers,
): Promise<Faces> {
  const { crops, rois } = buffers;
  const hidden = frames.some(({ pictures }) => pictures.hasHiddenFaces) ? rois() : undefined;
  for (const [place, frame] of frames.entries()) {
    const clock = new StageClock(frame.timings);
    await writeFace(frame, pictureAt(crops, place, size).data, hidden && pictureAt(hidden, place, size).data);
    clock.lap('visualInput');
  }
  if (!frames.some(({ visualInput }) => visualInput instanceof Float32Array)) return { crops, rois: hidden };
  return { visual: facesAsFloats(frames, size, buffers, hidden) };
}

/** [count, 6, S, S]: the frames' own floats, and those of the pictures that were gathered. */
function facesAsFloats(
  frames: readonly FrameInputs<unknown>[],
  size: NetworkSize,
  { crops, visual }: RunBuffers,
  hidden: Uint8Array | undefined,
): Float32Array {
  const floats = visual();
  for (const [place, { visualInput, timings }] of frames.entries()) {
    const clock = new StageClock(timings);
    const at = place * visualInputFloats(size);
    const roi = hidden && pictureAt(hidden, place, size);
    if (visualInput instanceof Float32Array) floats.set(visualInput, at);
    else writeVisualInput(pictureAt(crops, place, size), size, floats, at, roi);
    clock.lap('visualInput');
  }
  return floats;
}

/** The picture that the network sees of a frame; nothing for a frame that has floats. */
async function writeFace(
  { pictures, pictureIndex, visualInput }: FrameInputs<unknown>,
  crop: Uint8Array,
  roi: Uint8Array | undefined,
): Promise<void> {
  if (visualInput instanceof Float32Array) return;
  if (visualInput) crop.set(visualInput.data);
  else await pictures.face(pictureIndex, crop);
  if (!roi) return;
  if (!visualInput && pictures.hasHiddenFaces) await pictures.hiddenFace(pictureIndex, roi);
  else roi.set(crop);
}
