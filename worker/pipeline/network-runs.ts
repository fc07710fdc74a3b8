import {
  AUDIO_INPUT_FLOATS,
  type FrameInputs,
  type HeldMemory,
  type LipSyncNetwork,
  type MouthFrame,
  mouthBytes,
  type RgbImage,
  type RunBuffers,
  visualInputFloats,
} from './contract.ts';
import { makeCrop, renderRun } from './pipeline.ts';

/** Runs of one network, one at a time, for frames of one or several requests, in buffers that serve all runs. */
export class NetworkRuns {
  readonly #network: LipSyncNetwork;
  readonly #maxFrames: number;
  readonly #audio: Float32Array;
  readonly #crops: Uint8Array;
  #rois: Uint8Array | undefined;
  #visual: Float32Array | undefined;
  readonly #crop: RgbImage;

  /** @param maxFrames frames in the largest run. */
  constructor(network: LipSyncNetwork, maxFrames: number) {
    this.#network = network;
    this.#maxFrames = maxFrames;
    this.#audio = new Float32Array(maxFrames * AUDIO_INPUT_FLOATS);
    this.#crops = new Uint8Array(maxFrames * mouthBytes(network.size));
    this.#crop = makeCrop(network.size);
  }

  /**
   * Makes the mouths of the frames in one run of the network. Wait for it before the next run: its inputs are overwritten.
   * @param frames 1 … `maxFrames`.
   * @param memory where they go: room for all frames.
   * @returns those of the wanted ones, in order; each holds its memory once.
   * @throws FarmError `model_unusable` for a background or a crop rect that does not fit; whatever the network throws.
   */
  async run(frames: readonly FrameInputs[], memory: HeldMemory): Promise<MouthFrame[]> {
    const count = frames.length;
    if (count > this.#maxFrames) throw new RangeError(`${count} frames in a run of ${this.#maxFrames} at most`);
    const { size } = this.#network;
    const mouths = memory.bytes.subarray(0, count * mouthBytes(size));
    await renderRun(frames, this.#network, this.#buffers(count), mouths);
    return frames.flatMap((frame, place) => {
      if (!frame.wanted) return [];
      memory.hold();
      const mouth = memory.bytes.subarray(place * mouthBytes(size), (place + 1) * mouthBytes(size));
      return [{ ...frame, size, mouth, memory }];
    });
  }

  #buffers(count: number): RunBuffers {
    const { size } = this.#network;
    const bytes = mouthBytes(size);
    const floats = visualInputFloats(size);
    return {
      audio: this.#audio.subarray(0, count * AUDIO_INPUT_FLOATS),
      crops: this.#crops.subarray(0, count * bytes),
      rois: () => {
        this.#rois ??= new Uint8Array(this.#maxFrames * bytes);
        return this.#rois.subarray(0, count * bytes);
      },
      visual: () => {
        this.#visual ??= new Float32Array(this.#maxFrames * floats);
        return this.#visual.subarray(0, count * floats);
      },
      crop: this.#crop,
    };
  }
}
