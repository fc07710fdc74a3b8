import { FarmError } from '../../shared/errors/farm-error.ts';
import {
  VISUAL_FORMS,
  type VisualForm,
  visualFrameBytes,
  writeFloats,
  wrongVisualSize,
} from '../../shared/live/visual-frames.ts';
import { audioFloats, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import type { AudioSource, GivenVisualInput, IndexRange, LipSyncNetwork, NetworkSize } from '../pipeline/contract.ts';
import type { GivenInputs, GivenVisualInputs } from '../pipeline/frame-request.ts';

/** Turns the payload of a live request into what the pipeline takes. Sound and features are float32, little-endian. */

const FLOAT_BYTES = 4;

/** A sound of which only one piece is held. */
export class PieceOfSound implements AudioSource {
  readonly sampleCount: number;
  readonly #samples: Float32Array;
  readonly #firstSample: number;

  /**
   * @param firstSample place of `samples[0]` in the whole sound.
   * @param sampleCount length of the whole sound.
   */
  constructor(samples: Float32Array, firstSample: number, sampleCount: number) {
    this.#samples = samples;
    this.#firstSample = firstSample;
    this.sampleCount = sampleCount;
  }

  /** @throws FarmError `internal` when the range is not all in this piece: the front end sent too little sound. */
  async read({ start, end }: IndexRange): Promise<Float32Array> {
    const first = this.#firstSample;
    const last = first + this.#samples.length;
    if (start === end || (first <= start && end <= last)) return this.#samples.subarray(start - first, end - first);
    throw new FarmError(
      'internal',
      `Samples [${start}, ${end}) are needed, but the piece has [${first}, ${last}) only`,
    );
  }
}

export interface LiveBytes {
  readonly audio: Uint8Array;
  /** As `visualForm` says. */
  readonly visualFrames: Uint8Array;
  readonly visualForm: VisualForm;
  readonly audioFeatures: Uint8Array;
}

/** @throws FarmError `request_invalid` when the bytes are no whole number of float32. */
export function readSamples(audio: Uint8Array): Float32Array {
  if (audio.byteLength % FLOAT_BYTES === 0) return asFloats(audio);
  throw invalid(`the audio has ${audio.byteLength} bytes, expected a multiple of ${FLOAT_BYTES} (float32 samples)`);
}

/**
 * The inputs that a request sends along: visual inputs in place of the avatar's pictures, features in place of sound.
 * @param soundless the sound has no samples: frames hear nothing.
 * @throws FarmError `request_invalid` with the bytes that were got and expected.
 */
export function readGivenInputs(
  { visualFrames, visualForm, audioFeatures }: Omit<LiveBytes, 'audio'>,
  frameCount: number,
  { size, hearing = USUAL_HEARING }: Pick<LipSyncNetwork, 'size' | 'hearing'>,
  soundless: boolean,
): GivenInputs {
  const heardBytes = audioFloats(hearing) * FLOAT_BYTES;
  if (audioFeatures.byteLength !== 0 && audioFeatures.byteLength !== heardBytes) {
    const got = `${audioFeatures.byteLength} bytes`;
    throw invalid(`audio_features has ${got}, expected ${heardBytes} (${hearing.shape.join(' × ')} float32)`);
  }
  const silence = soundless ? new Float32Array(audioFloats(hearing)) : undefined;
  return {
    visualInputs: visualFrames.byteLength > 0 ? givenVisual(visualFrames, visualForm, frameCount, size) : undefined,
    audioInput: audioFeatures.byteLength > 0 ? asFloats(audioFeatures) : silence,
  };
}

function givenVisual(bytes: Uint8Array, form: VisualForm, count: number, size: NetworkSize): GivenVisualInputs {
  const frameBytes = visualFrameBytes(form, size);
  if (bytes.byteLength !== count * frameBytes) {
    const bytesOfFloats = Math.round(bytes.byteLength * (visualFrameBytes('floats', size) / frameBytes));
    throw invalid(wrongVisualSize(bytesOfFloats, count, size));
  }
  const frame = (place: number) => bytes.subarray(place * frameBytes, (place + 1) * frameBytes);
  return { size, count, at: (place) => visualInputOf(frame(place), form, size) };
}

function visualInputOf(frame: Uint8Array, form: VisualForm, size: NetworkSize): GivenVisualInput {
  const packed = VISUAL_FORMS[form];
  if (!packed) return asFloats(frame);
  if (packed.layout === 'crops') return { width: size, height: size, data: frame };
  const floats = new Float32Array(frame.length);
  writeFloats(frame, packed.floats, floats);
  return floats;
}

/** A view where the bytes are aligned, else a copy. */
function asFloats(bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, byteLength } = byteOffsetAligned(bytes) ? bytes : bytes.slice();
  return new Float32Array(buffer, byteOffset, byteLength / FLOAT_BYTES);
}

function byteOffsetAligned({ byteOffset }: Uint8Array): boolean {
  return byteOffset % FLOAT_BYTES === 0;
}

function invalid(message: string): FarmError {
  return new FarmError('request_invalid', message);
}
