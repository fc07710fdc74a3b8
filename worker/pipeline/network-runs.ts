import { audioFloats, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import {
  bytesOfMouth,
  type FrameInputs,
  type HeldMemory,
  type LipSyncNetwork,
  type MouthForm,
  type MouthFrame,
  mouthBytes,
  visualInputFloats,
} from './contract.ts';
import { generateRun, renderRun } from './pipeline.ts';

/** Runs of one network, one at a time, for frames of one or several requests, in buffers that serve all runs. */
export class NetworkRuns {
  readonly #network: LipSyncNetwork;
  readonly #maxFrames: number;
  readonly #form: MouthForm;
  readonly #crops: Uint8Array;
  readonly #audio: Float32Array;
  /** Only few requests need these. */
  #rois: Uint8Array | undefined;
  #visual: Float32Array | undefined;

  /** @param maxFrames frames in the largest run. @param form of the mouths. */
  constructor(network: LipSyncNetwork, maxFrames: number, form: MouthForm = 'picture') {
    this.#network = network;
    this.#form = form;
    this.#maxFrames = maxFrames;
    this.#crops = new Uint8Array(maxFrames * mouthBytes(network.size));
    this.#audio = new Float32Array(maxFrames * audioFloats(network.hearing ?? USUAL_HEARING));
  }

  /**
   * Makes the mouths of the frames in one run of the network. Wait for it before the next run: its inputs are overwritten.
   * @param frames 1 … `maxFrames`.
   * @param memory where they go: room for all frames.
   * @returns those of the wanted ones, in order; each holds its memory once.
   * @throws whatever the pictures and the network throw.
   */
  async run<Picture>(frames: readonly FrameInputs<Picture>[], memory: HeldMemory): Promise<MouthFrame<Picture>[]> {
    const count = frames.length;
    if (count > this.#maxFrames) throw new RangeError(`${count} frames in a run of ${this.#maxFrames} at most`);
    const { size } = this.#network;
    const bytes = mouthBytes(size);
    const floats = visualInputFloats(size);
    const buffers = {
      crops: this.#crops.subarray(0, count * bytes),
      rois: () => {
        this.#rois ??= new Uint8Array(this.#maxFrames * bytes);
        return this.#rois.subarray(0, count * bytes);
      },
      audio: this.#audio.subarray(0, (count * this.#audio.length) / this.#maxFrames),
      visual: () => {
        this.#visual ??= new Float32Array(this.#maxFrames * floats);
        return this.#visual.subarray(0, count * floats);
      },
    };
    const mouthLength = bytesOfMouth(this.#form, size);
    const mouths = memory.bytes.subarray(0, count * mouthLength);
    await (this.#form === 'picture' ? renderRun : generateRun)(frames, this.#network, buffers, mouths);
    return frames.flatMap(({ frameIndex, wanted, pictureIndex, picture }, place) => {
      if (!wanted) return [];
      memory.hold();
      const mouth = memory.bytes.subarray(place * mouthLength, (place + 1) * mouthLength);
      return [{ frameIndex, pictureIndex, picture, mouth, memory }];
    });
  }
}
