/** Part of the pipeline: what frames see and hear → one run of the network → its pictures → finished frames. */
import { writeAudioInput } from './audio-input.ts';
import { checkBackground, checkFace } from './background.ts';
import { compositeFrame } from './composite.ts';
import {
  AUDIO_INPUT_FLOATS,
  type AvatarFrames,
  type GivenFace,
  type LipSyncNetwork,
  type NetworkSize,
  type RgbImage,
} from './contract.ts';
import type { FeatureRows } from './feature-rows.ts';
import { StageClock, type StageTimingsMs } from './stage-timings.ts';
import { cutCrop, layFace, makeCrop, visualInputFloats, writeVisualInput } from './visual-input.ts';

/** All that one frame is made from. */
export interface FrameOrder {
  readonly frameIndex: number;
  /** False for a frame that only fills its batch: the network sees it, and nobody wants its picture. */
  readonly wanted: boolean;
  readonly avatar: AvatarFrames;
  readonly backgroundIndex: number;
  /** The avatar's picture `backgroundIndex`; read only. */
  readonly background: RgbImage;
  /** The face in it, where the avatar has a picture of that. */
  readonly face?: GivenFace | undefined;
  /** The audio input, [32, 16, 16], or the feature rows that it is cut from. */
  readonly audioInput: Float32Array | { readonly rows: FeatureRows; readonly rowsAhead: number };
  /** The visual input, [6, S, S], instead of one made from the background. */
  readonly visualInput: Float32Array | undefined;
  /** Grows by this frame's share of the stages. */
  readonly timings: StageTimingsMs;
}

/** Memory for a picture: as many bytes as are asked for, whatever they hold. */
export type MakeBuffer = (byteLength: number) => Uint8Array;

/** One run of the network at a time, for frames of one or several requests, in buffers that serve all runs. */
export class NetworkBatch {
  readonly #network: LipSyncNetwork;
  readonly #makeBuffer: MakeBuffer;
  readonly #visual: Float32Array;
  readonly #audio: Float32Array;
  readonly #crops: readonly RgbImage[];

  /**
   * @param largest frames in the largest run.
   * @param makeBuffer where the pixels of finished frames go.
   */
  constructor(network: LipSyncNetwork, largest: number, makeBuffer: MakeBuffer = (bytes) => new Uint8Array(bytes)) {
    this.#network = network;
    this.#makeBuffer = makeBuffer;
    this.#visual = new Float32Array(largest * visualInputFloats(network.size));
    this.#audio = new Float32Array(largest * AUDIO_INPUT_FLOATS);
    this.#crops = Array.from({ length: largest }, () => makeCrop(network.size));
  }

  /**
   * Makes the frames in one run of the network. No other run of it may begin before this one has ended: the network's
   * pictures are used up here.
   * @param orders 1 … `largest` frames.
   * @returns the pictures of the wanted ones, in order, each the receiver's own.
   * @throws FarmError `model_unusable` for a background or a crop rect that does not fit; whatever the network throws.
   */
  async run(orders: readonly FrameOrder[]): Promise<RgbImage[]> {
    for (const [place, order] of orders.entries()) this.#prepare(order, place);
    const count = orders.length;
    const visual = this.#visual.subarray(0, count * visualInputFloats(this.#network.size));
    const startedAt = performance.now();
    const output = await this.#network.generate(visual, this.#audio.subarray(0, count * AUDIO_INPUT_FLOATS), count);
    const frameMs = (performance.now() - startedAt) / count;
    for (const { timings } of orders) timings.inference += frameMs;
    return orders.flatMap((order, place) => (order.wanted ? [this.#composite(order, output, place)] : []));
  }

  /** What the network is about to see and hear of one frame. */
  #prepare(order: FrameOrder, place: number): void {
    const { avatar, background, backgroundIndex, face, audioInput, visualInput, timings } = order;
    const clock = new StageClock(timings);
    checkBackground(background, avatar.rect(backgroundIndex), avatar, backgroundIndex);
    const { size } = this.#network;
    const crop = this.#cropAt(place);
    if (face) checkFace(face, size, backgroundIndex);
    if (face?.crop?.width !== crop.width) this.#cutCrop(order, crop);
    if (face?.crop) layFace(face.crop, crop);
    const visualAt = place * visualInputFloats(size);
    if (visualInput) this.#visual.set(visualInput, visualAt);
    else writeVisualInput(crop, size, this.#visual, visualAt, face?.roi);
    const audioAt = place * AUDIO_INPUT_FLOATS;
    if (audioInput instanceof Float32Array) this.#audio.set(audioInput, audioAt);
    else writeAudioInput(audioInput.rows, order.frameIndex, this.#audio, audioAt, audioInput.rowsAhead);
    clock.lap('visualInput');
  }

  /** Fills `crop` from the background, or with what was cut out of it before. */
  #cutCrop({ avatar, background, backgroundIndex }: FrameOrder, crop: RgbImage): void {
    const cut = () => {
      const made = makeCrop(this.#network.size);
      cutCrop(background, avatar.rect(backgroundIndex), made);
      return made;
    };
    crop.data.set((avatar.crop?.(backgroundIndex, cut) ?? cut()).data);
  }

  #composite({ avatar, background, backgroundIndex, timings }: FrameOrder, output: Float32Array, place: number) {
    const clock = new StageClock(timings);
    const { size } = this.#network;
    const at = place * outputFloats(size);
    const rect = avatar.rect(backgroundIndex);
    const data = this.#makeBuffer(background.data.length);
    const image = compositeFrame(output, at, size, this.#cropAt(place), background, rect, data);
    clock.lap('composite');
    return image;
  }

  #cropAt(place: number): RgbImage {
    const crop = this.#crops[place];
    if (crop === undefined) throw new RangeError(`frame ${place + 1} of a batch of ${this.#crops.length}`);
    return crop;
  }
}

function outputFloats(size: NetworkSize): number {
  return 3 * size * size;
}
