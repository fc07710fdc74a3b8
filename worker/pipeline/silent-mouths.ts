import { audioFloats, USUAL_HEARING } from '../../shared/sound/hearing.ts';
import { FEATURE_ROWS_AFTER, SAMPLE_RATE_HZ } from '../../shared/sound/rates.ts';
import {
  type AudioEncoder,
  type AudioSource,
  type AvatarPictures,
  type FeatureRows,
  type FrameInputs,
  type LipSyncNetwork,
  mouthBytes,
  type RunBuffers,
  visualInputFloats,
} from './contract.ts';
import { renderRun } from './pipeline.ts';
import { SlidingFeatures } from './sliding-features.ts';
import { StageClock, type StageTimingsMs } from './stage-timings.ts';

/** Where mouths of silence are kept beyond the life of a process. */
export interface MouthStore {
  /** Fills `into` with the mouth of picture `index`, if it is there. */
  read(index: number, into: Uint8Array): boolean;
  /** Never rejects: what cannot be kept is made again. */
  write(index: number, mouth: Uint8Array): Promise<void>;
}

export interface SilentMouthParts {
  readonly network: LipSyncNetwork;
  readonly encoder: AudioEncoder;
  readonly pictures: AvatarPictures<unknown>;
  /** Absent: they are kept in memory alone. */
  readonly store?: MouthStore;
}

/** Four seconds of silence; in its middle a frame hears nothing of its ends. */
const HUSH: AudioSource = {
  sampleCount: 4 * SAMPLE_RATE_HZ,
  read: async ({ start, end }) => new Float32Array(end - start),
};
const HUSH_FRAME = 40;
/** Kept in memory: 10 MB of 320². A file of one is read in a tenth of a millisecond. */
const MOUTHS_KEPT = 32;
const NEVER = new AbortController().signal;

/**
 * What the network makes of silence, for each of an avatar's pictures: a mouth [S, S, 3] RGB that depends on the picture
 * and the model alone. Each is made alone, in a run of its own, when it is first needed, and kept.
 */
export class SilentMouths {
  readonly #parts: SilentMouthParts;
  /** Least recently used first. */
  readonly #kept = new Map<number, Uint8Array>();
  #hush: FeatureRows | undefined;

  constructor(parts: SilentMouthParts) {
    this.#parts = parts;
  }

  /** Bytes that are kept in memory. */
  get cachedBytes(): number {
    return this.#kept.size * mouthBytes(this.#parts.network.size);
  }

  /** The mouth of picture `index`, read only; undefined when it was not made yet. */
  find(index: number): Uint8Array | undefined {
    const mouth = this.#kept.get(index) ?? this.#read(index);
    if (mouth) this.#keep(index, mouth);
    return mouth;
  }

  /**
   * Makes the mouth of picture `index`, read only: runs the network, which nobody else may do meanwhile.
   * @param timings grows by that.
   */
  async make(index: number, timings: StageTimingsMs): Promise<Uint8Array> {
    const { network, pictures, store } = this.#parts;
    const inputs: FrameInputs<undefined> = {
      ...{ frameIndex: HUSH_FRAME, wanted: true, picture: undefined, pictureIndex: index, visualInput: undefined },
      pictures: pictures as AvatarPictures<undefined>,
      audioInput: { rows: await this.#rowsOfHush(timings), row: HUSH_FRAME, rowsAhead: FEATURE_ROWS_AFTER },
      timings,
    };
    const mouth = new Uint8Array(mouthBytes(network.size));
    await renderRun([inputs], network, buffersOf(network), mouth);
    this.#keep(index, mouth);
    await store?.write(index, mouth);
    return mouth;
  }

  #read(index: number): Uint8Array | undefined {
    const mouth = new Uint8Array(mouthBytes(this.#parts.network.size));
    return this.#parts.store?.read(index, mouth) ? mouth : undefined;
  }

  #keep(index: number, mouth: Uint8Array): void {
    this.#kept.delete(index);
    this.#kept.set(index, mouth);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MOUTHS_KEPT) return;
      this.#kept.delete(oldest);
    }
  }

  async #rowsOfHush(timings: StageTimingsMs): Promise<FeatureRows> {
    const frame = { start: HUSH_FRAME, end: HUSH_FRAME + 1 };
    const clock = new StageClock(timings);
    const { encoder, network } = this.#parts;
    const source = { audio: HUSH, encoder, hearing: network.hearing ?? USUAL_HEARING };
    this.#hush ??= await new SlidingFeatures(source, FEATURE_ROWS_AFTER, frame, { signal: NEVER, clock }).rowsFor(
      frame,
    );
    return this.#hush;
  }
}

/** For a run of one frame. */
function buffersOf({ size, hearing = USUAL_HEARING }: LipSyncNetwork): RunBuffers {
  return {
    crops: new Uint8Array(mouthBytes(size)),
    rois: () => new Uint8Array(mouthBytes(size)),
    audio: new Float32Array(audioFloats(hearing)),
    visual: () => new Float32Array(visualInputFloats(size)),
  };
}
