import { z } from 'zod';
import type { Config } from '../../shared/config/load.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { BATCH_FRAMES, MOUTH_FRAMES } from '../../shared/limits.ts';
import { VISUAL_CHANNELS, visualFrameBytes } from '../../shared/live/visual-frames.ts';
import { AUDIO_KIND_FACTS } from '../../shared/sound/audio-kinds.ts';
import { isSound } from '../../shared/sound/full-scale.ts';
import { audioFloats, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import type { InferRequest } from '../live/live.ts';
import { decodePcm } from '../live/pcm.ts';
import type { VisualInputs } from '../live/visual-inputs.ts';
import { between, checkMessage, notNegative, sampleRate } from '../message-fields.ts';
import { modelIdOf } from '../model-id.ts';
import type { InferBatchRequest } from './messages/inference.ts';
import type { CompositeBatchRequest } from './messages/monolithic.ts';
import type { Received } from './visual-field.ts';

const FLOAT_BYTES = 4;
const FEATURE_FLOATS = audioFloats(USUAL_HEARING);
/** Bytes of one audio input of any network: the worker refuses what its model does not take. */
const FEATURE_BYTES: ReadonlySet<number> = new Set(
  Object.values(AUDIO_KIND_FACTS).flatMap(({ contexts }) => contexts.map((shape) => audioFloats(shape) * FLOAT_BYTES)),
);
const NOTHING = Buffer.alloc(0);

const numbersSchema = z.object({
  batch_size: between(BATCH_FRAMES.min, BATCH_FRAMES.max),
  start_frame_idx: notNegative,
  sample_rate: sampleRate,
});
const mouthNumbersSchema = z.object({
  batch_size: between(MOUTH_FRAMES.min, MOUTH_FRAMES.max),
  sample_rate: sampleRate,
});

export type ReceivedBatchRequest = Received<CompositeBatchRequest>;
export type ReceivedMouthRequest = Received<InferBatchRequest>;

/**
 * A CompositeBatchRequest as the live service takes it.
 * FarmError('request_invalid'): says for each wrong field what was got and what is expected.
 */
export function toInferRequest(message: ReceivedBatchRequest, config: Config): InferRequest {
  const { batch_size, start_frame_idx, sample_rate } = checkMessage(numbersSchema, message);
  const { format, jpeg_quality } = config.output;
  return {
    ...inputsOf(message, batch_size, config),
    startFrameIndex: start_frame_idx,
    sampleRateHz: sample_rate,
    output: format,
    jpegQuality: jpeg_quality,
  };
}

/** An InferBatchRequest likewise: its frames begin at the avatar's first picture. FarmError as above. */
export function toMouthRequest(message: ReceivedMouthRequest, config: Config): InferRequest {
  const { batch_size, sample_rate } = checkMessage(mouthNumbersSchema, message);
  return {
    ...inputsOf(message, batch_size, config),
    startFrameIndex: 0,
    sampleRateHz: sample_rate,
    output: 'mouths',
    jpegQuality: config.output.jpeg_quality,
  };
}

/** What both requests say of the model, the sound and the pictures. */
function inputsOf(
  message: Pick<ReceivedMouthRequest, 'model_id' | 'raw_audio' | 'audio_features' | 'visual_frames'>,
  frameCount: number,
  config: Config,
): Pick<InferRequest, 'modelId' | 'frameCount' | 'audio' | 'visualFrames' | 'audioFeatures'> {
  const hasAudio = message.raw_audio.length > 0;
  if (!hasAudio) checkFeatures(message.audio_features);
  checkVisualFrames(message.visual_frames, frameCount);
  return {
    modelId: modelIdOf(config, message.model_id),
    frameCount,
    audio: decodeSound(message.raw_audio),
    visualFrames: message.visual_frames,
    audioFeatures: hasAudio ? NOTHING : message.audio_features,
  };
}

function decodeSound(bytes: Buffer): Float32Array {
  if (bytes.length % FLOAT_BYTES !== 0) {
    throw invalid(`raw_audio: got ${bytes.length} bytes, expected a multiple of ${FLOAT_BYTES}: float32 samples`);
  }
  const samples = decodePcm(bytes, 'F32LE');
  const wrong = samples.findIndex((sample) => !isSound(sample));
  if (wrong >= 0) throw invalid(`raw_audio: got ${samples[wrong]} as sample ${wrong}, expected numbers in [-1, 1]`);
  return samples;
}

function checkFeatures(bytes: Buffer): void {
  const { length } = bytes;
  const expected = `${FEATURE_FLOATS} float32 (${FEATURE_FLOATS * FLOAT_BYTES} bytes)`;
  if (length === 0) {
    throw invalid(`raw_audio, audio_features: got neither, expected sound in raw_audio, or ${expected} as features`);
  }
  if (!FEATURE_BYTES.has(length)) {
    throw invalid(`audio_features: got ${length} bytes, expected ${expected}`);
  }
  const features = decodePcm(bytes, 'F32LE');
  const wrong = features.findIndex((number) => !Number.isFinite(number));
  if (wrong >= 0) throw invalid(`audio_features: got ${features[wrong]} as number ${wrong}, expected finite numbers`);
}

/** S must be a whole number; whether it is the model's is found out later. */
function checkVisualFrames({ byteLength, notFinite }: VisualInputs, batchSize: number): void {
  const size = Math.sqrt(byteLength / (batchSize * VISUAL_CHANNELS * FLOAT_BYTES));
  if (!Number.isInteger(size)) {
    const sizes = [320, 160].map((side) => `${batchSize * visualFrameBytes('floats', side)} (S = ${side})`);
    const expected = `${batchSize}×${VISUAL_CHANNELS}×S×S float32: ${sizes.join(' or ')}, or none`;
    throw invalid(`visual_frames: got ${byteLength} bytes, expected ${expected}`);
  }
  if (notFinite)
    throw invalid(`visual_frames: got ${notFinite.value} ${placeOf(notFinite.index, size)}, expected finite numbers`);
}

/** Where value `index` of [frames, 6, S, S] lies. */
function placeOf(index: number, size: number): string {
  const [column, row, channel] = [index, index / size, index / size ** 2].map(Math.floor) as [number, number, number];
  const frame = Math.floor(channel / VISUAL_CHANNELS);
  return `in frame ${frame}, channel ${channel % VISUAL_CHANNELS}, row ${row % size}, column ${column % size}`;
}

function invalid(message: string): FarmError {
  return new FarmError('request_invalid', message);
}
