import {
  AUDIO_INPUT_FLOATS,
  type FrameInputs,
  type LipSyncNetwork,
  type MakePixels,
  type RgbImage,
  visualInputFloats,
} from './contract.ts';
import { makeCrop, renderRun } from './pipeline.ts';

/** Runs of one network, one at a time, for frames of one or several requests, in buffers that serve all runs. */
export class NetworkRuns {
  readonly #network: LipSyncNetwork;
  readonly #makePixels: MakePixels;
  readonly #visual: Float32Array;
  readonly #audio: Float32Array;
  readonly #crops: readonly RgbImage[];

  /**
   * @param maxFrames frames in the largest run.
   * @param makePixels where the pixels of finished frames go.
   */
  constructor(network: LipSyncNetwork, maxFrames: number, makePixels: MakePixels = (bytes) => new Uint8Array(bytes)) {
    this.#network = network;
    this.#makePixels = makePixels;
    this.#visual = new Float32Array(maxFrames * visualInputFloats(network.size));
    this.#audio = new Float32Array(maxFrames * AUDIO_INPUT_FLOATS);
    this.#crops = Array.from({ length: maxFrames }, () => makeCrop(network.size));
  }

  /**
   * Makes the frames in one run of the network. Wait for it before the next run: that overwrites the network's output.
   * @param frames 1 … `maxFrames`.
   * @returns the pictures of the wanted ones, in order, each the receiver's own.
   * @throws FarmError `model_unusable` for a background or a crop rect that does not fit; whatever the network throws.
   */
  async run(frames: readonly FrameInputs[]): Promise<RgbImage[]> {
    const count = frames.length;
    if (count > this.#crops.length) throw new RangeError(`${count} frames in a run of ${this.#crops.length} at most`);
    return await renderRun(frames, this.#network, {
      visual: this.#visual.subarray(0, count * visualInputFloats(this.#network.size)),
      audio: this.#audio.subarray(0, count * AUDIO_INPUT_FLOATS),
      crops: this.#crops,
      makePixels: this.#makePixels,
    });
  }
}
