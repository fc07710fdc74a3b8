import { audioFloats, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import { IDLE_WHOLE } from '../../shared/sound/idle-track.ts';
import { WHOLE_VOICE } from '../../shared/sound/silence-gate.ts';
import {
  bytesOfMouth,
  type FrameInputs,
  type HeldMemory,
  type LipSyncNetwork,
  type MouthForm,
  type MouthFrame,
  mouthBytes,
  type RunBuffers,
  visualInputFloats,
} from './contract.ts';
import { fadeMouth, generateRun, renderRun } from './pipeline.ts';
import type { SilentMouths } from './silent-mouths.ts';

export interface NetworkRunsOptions {
  /** Of the mouths; pictures when absent. */
  readonly form?: MouthForm | undefined;
  /** For frames in silence, of pictures; absent: the network runs for all frames. */
  readonly silentMouths?: SilentMouths | undefined;
  /** Whether a run that any frame needs is one of all frames given: a batch of the grid of the sound. */
  readonly whole?: boolean;
}

/** Mouths of silence that were found for some frames, by the index of their picture. */
export type FoundMouths = Map<number, Uint8Array>;

/** Runs of one network, one at a time, for frames of one or several requests, in buffers that serve all runs. */
export class NetworkRuns {
  readonly #network: LipSyncNetwork;
  readonly #maxFrames: number;
  readonly #form: MouthForm;
  readonly #silentMouths: SilentMouths | undefined;
  readonly #whole: boolean;
  readonly #crops: Uint8Array;
  readonly #audio: Float32Array;
  /** Only few requests need these. */
  #rois: Uint8Array | undefined;
  #visual: Float32Array | undefined;

  /** @param maxFrames frames in the largest run. */
  constructor(network: LipSyncNetwork, maxFrames: number, options: NetworkRunsOptions = {}) {
    const { form = 'picture', silentMouths, whole = false } = options;
    this.#network = network;
    this.#form = form;
    this.#silentMouths = form === 'picture' ? silentMouths : undefined;
    this.#whole = whole;
    this.#maxFrames = maxFrames;
    this.#crops = new Uint8Array(maxFrames * mouthBytes(network.size));
    this.#audio = new Float32Array(maxFrames * audioFloats(network.hearing ?? USUAL_HEARING));
  }

  /** The mouths of silence that these frames show and that were made before. */
  findSilent(frames: readonly FrameInputs<unknown>[]): FoundMouths {
    const found: FoundMouths = new Map();
    for (const { pictureIndex } of frames.filter((frame) => this.#showsSilence(frame))) {
      const mouth = found.get(pictureIndex) ?? this.#silentMouths?.find(pictureIndex);
      if (mouth) found.set(pictureIndex, mouth);
    }
    return found;
  }

  /** Whether `run` runs the network for these frames. */
  needsNetwork(frames: readonly FrameInputs<unknown>[], found: FoundMouths): boolean {
    const isMissing = (frame: FrameInputs<unknown>) => this.#showsSilence(frame) && !found.has(frame.pictureIndex);
    return frames.some((frame) => this.#hears(frame) || isMissing(frame));
  }

  /**
   * Makes the mouths of the frames in one run of the network, or in none, and further runs for mouths of silence that
   * were not made before. Wait for it before the next run: its inputs are overwritten.
   * @param frames 1 … `maxFrames`.
   * @param memory where they go: room for all frames.
   * @returns those of the wanted ones, in order; each holds its memory once.
   * @throws whatever the pictures and the network throw.
   */
  async run<Picture>(
    frames: readonly FrameInputs<Picture>[],
    memory: HeldMemory,
    found: FoundMouths = this.findSilent(frames),
  ): Promise<MouthFrame<Picture>[]> {
    if (frames.length > this.#maxFrames) {
      throw new RangeError(`${frames.length} frames in a run of ${this.#maxFrames} at most`);
    }
    const inRun = this.#framesToRun(frames);
    const mouthLength = bytesOfMouth(this.#form, this.#network.size);
    if (inRun.length > 0) await this.#paint(inRun, memory.bytes.subarray(0, inRun.length * mouthLength));
    const placed =
      inRun.length === frames.length ? frames : [...inRun, ...frames.filter((one) => !inRun.includes(one))];
    const mouths = new Map<FrameInputs<Picture>, Uint8Array>();
    for (const [place, frame] of placed.entries()) {
      const mouth = memory.bytes.subarray(place * mouthLength, (place + 1) * mouthLength);
      mouths.set(frame, mouth);
      const ran = place < inRun.length;
      if (this.#showsSilence(frame)) await this.#silence(frame, mouth, found);
      else if (this.#isIdle(frame)) mouth.fill(0);
      this.#count(frame, ran);
    }
    return frames.flatMap((frame) => {
      const { frameIndex, wanted, pictureIndex, picture, gated } = frame;
      const idle = gated?.idle;
      if (!wanted) return [];
      memory.hold();
      return [{ frameIndex, pictureIndex, picture, idle, mouth: mouths.get(frame) as Uint8Array, memory }];
    });
  }

  #framesToRun<Picture>(frames: readonly FrameInputs<Picture>[]): readonly FrameInputs<Picture>[] {
    const heard = frames.filter((frame) => this.#hears(frame));
    return this.#whole && heard.length > 0 ? frames : heard;
  }

  /** Whether the network's mouth is seen in it. */
  #hears({ gated }: FrameInputs<unknown>): boolean {
    return !this.#silentMouths || !gated || gated.voice > 0;
  }

  /** Whether a mouth of silence is seen in it. */
  #showsSilence(frame: FrameInputs<unknown>): boolean {
    const { gated, wanted } = frame;
    if (!wanted || this.#silentMouths === undefined || gated === undefined) return false;
    return gated.voice < WHOLE_VOICE && !this.#isIdle(frame);
  }

  /** Whether nothing but the idle clip is seen in it. */
  #isIdle({ gated }: FrameInputs<unknown>): boolean {
    return gated?.idle?.amount === IDLE_WHOLE;
  }

  /** Counts what the gate has spared. @param ran whether the network has run for the frame. */
  #count({ gated, wanted }: FrameInputs<unknown>, ran: boolean): void {
    if (!gated || !wanted || !this.#silentMouths) return;
    const { voice, idle, counts } = gated;
    counts.frames += voice === 0 ? 1 : 0;
    counts.spared += ran ? 0 : 1;
    counts.idle += idle ? 1 : 0;
  }

  /** Mixes the mouth of silence into that of a frame. */
  async #silence(
    { gated, pictureIndex, timings }: FrameInputs<unknown>,
    mouth: Uint8Array,
    found: FoundMouths,
  ): Promise<void> {
    if (!gated || !this.#silentMouths) return;
    const { voice, counts } = gated;
    let silent = found.get(pictureIndex);
    if (!silent) {
      silent = await this.#silentMouths.make(pictureIndex, timings);
      found.set(pictureIndex, silent);
      counts.made += 1;
    }
    fadeMouth(mouth, silent, voice, WHOLE_VOICE);
  }

  async #paint(frames: readonly FrameInputs<unknown>[], mouths: Uint8Array): Promise<void> {
    const run = this.#form === 'picture' ? renderRun : generateRun;
    await run(frames, this.#network, this.#buffersFor(frames.length), mouths);
  }

  #buffersFor(count: number): RunBuffers {
    const bytes = mouthBytes(this.#network.size);
    const floats = visualInputFloats(this.#network.size);
    return {
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
  }
}
