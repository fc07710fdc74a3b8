/** Part of the pipeline: backgrounds and features → inputs of one network batch → its pictures → finished frames. */
import { writeAudioInput } from './audio-input.ts';
import { backgroundIndex, checkBackground } from './background.ts';
import { compositeFrame } from './composite.ts';
import {
  AUDIO_INPUT_FLOATS,
  type AvatarFrames,
  type IndexRange,
  type LipSyncNetwork,
  type Rect,
  type RgbImage,
} from './contract.ts';
import type { FeatureRows } from './feature-rows.ts';
import type { StageClock } from './stage-timings.ts';
import { cutCrop, makeCrop, visualInputFloats, writeVisualInput } from './visual-input.ts';

/** Runs work that nothing else of the same thread may come in between. */
export type TurnTaker = <T>(work: () => Promise<T>) => Promise<T>;

export interface BatchParts {
  readonly network: LipSyncNetwork;
  readonly avatar: AvatarFrames;
  /** The network's turn, when others use it as well. */
  readonly inTurn?: TurnTaker | undefined;
}

/** What the frames see and hear of what others made. */
export interface BatchSources {
  /** Place of frame 0 in the avatar's ping-pong walk. */
  readonly startFrameIndex: number;
  /** Feature rows after a frame's own that it hears, 0 … 7. */
  readonly rowsAhead: number;
  /** The audio input of every frame, [32, 16, 16], instead of one cut from feature rows. */
  readonly heard?: Float32Array | undefined;
  /** Visual inputs, [count, 6, S, S], of frame `firstFrame` and those after it, instead of the avatar's own. */
  readonly seen?: { readonly data: Float32Array; readonly firstFrame: number } | undefined;
}

/** One network batch at a time, in buffers that serve them all. */
export class BatchRunner {
  readonly #parts: BatchParts;
  readonly #sources: BatchSources;
  readonly #clock: StageClock;
  readonly #visual: Float32Array;
  readonly #audio: Float32Array;
  readonly #crops: readonly RgbImage[];
  #rects: Rect[] = [];
  #backgrounds: RgbImage[] = [];
  /** The backgrounds of the batch after this one, on their way while the network runs. */
  #ahead: { readonly start: number; readonly images: Promise<RgbImage[]> } | undefined;

  /** @param largest frames in the largest batch. */
  constructor(parts: BatchParts, sources: BatchSources, largest: number, clock: StageClock) {
    this.#parts = parts;
    this.#sources = sources;
    this.#clock = clock;
    this.#visual = new Float32Array(largest * visualInputFloats(parts.network.size));
    this.#audio = new Float32Array(largest * AUDIO_INPUT_FLOATS);
    this.#crops = Array.from({ length: largest }, () => makeCrop(parts.network.size));
  }

  /**
   * The finished frames `wanted`, which lie within the batch. The network sees the whole batch. Its pictures are used up
   * within its turn: whoever has the next one writes over them.
   * @param next the batch after this one; empty when this is the last.
   */
  async run(
    { batch, wanted, next }: { batch: IndexRange; wanted: IndexRange; next: IndexRange },
    rows: FeatureRows,
    signal: AbortSignal,
  ): Promise<RgbImage[]> {
    const inTurn: TurnTaker = this.#parts.inTurn ?? ((work) => work());
    this.#clock.start();
    this.#backgrounds = await (this.#ahead?.start === batch.start ? this.#ahead.images : this.#load(batch));
    this.#clock.lap('background');
    this.#ahead = { start: next.start, images: this.#load(next) };
    // A picture that cannot be read is the fault of the batch that needs it.
    this.#ahead.images.catch(() => {});
    return await inTurn(async () => {
      signal.throwIfAborted();
      // Within the turn, since it keeps the thread busy: outside, whoever is next would wait for it as well.
      this.#prepare(batch, rows);
      const count = batch.end - batch.start;
      const { network } = this.#parts;
      const visual = this.#visual.subarray(0, count * visualInputFloats(network.size));
      const output = await network.generate(visual, this.#audio.subarray(0, count * AUDIO_INPUT_FLOATS), count);
      this.#clock.lap('inference');
      const images: RgbImage[] = [];
      for (let frame = wanted.start; frame < wanted.end; frame++) {
        images.push(this.#composite(output, frame - batch.start));
      }
      this.#clock.lap('composite');
      return images;
    });
  }

  /** Everything that the network is about to see and hear. */
  #prepare(batch: IndexRange, rows: FeatureRows): void {
    const { network, avatar } = this.#parts;
    const { rowsAhead, heard } = this.#sources;
    const indices = this.#backgroundsOf(batch);
    this.#clock.start();
    this.#rects = indices.map((index) => avatar.rect(index));
    for (let i = 0; i < indices.length; i++) {
      checkBackground(this.#backgrounds[i] as RgbImage, this.#rects[i] as Rect, avatar, indices[i] as number);
      cutCrop(this.#backgrounds[i] as RgbImage, this.#rects[i] as Rect, this.#crops[i] as RgbImage);
      this.#writeVisual(batch.start + i, i, visualInputFloats(network.size));
      if (heard) this.#audio.set(heard, i * AUDIO_INPUT_FLOATS);
      else writeAudioInput(rows, batch.start + i, this.#audio, i * AUDIO_INPUT_FLOATS, rowsAhead);
    }
    this.#clock.lap('visualInput');
  }

  #backgroundsOf({ start, end }: IndexRange): number[] {
    const position = this.#sources.startFrameIndex + start;
    const { frameCount } = this.#parts.avatar;
    return Array.from({ length: Math.max(0, end - start) }, (_, i) => backgroundIndex(position + i, frameCount));
  }

  async #load(batch: IndexRange): Promise<RgbImage[]> {
    return await Promise.all(this.#backgroundsOf(batch).map((index) => this.#parts.avatar.background(index)));
  }

  #writeVisual(frame: number, place: number, floats: number): void {
    const { seen } = this.#sources;
    if (seen) {
      const from = (frame - seen.firstFrame) * floats;
      this.#visual.set(seen.data.subarray(from, from + floats), place * floats);
    } else writeVisualInput(this.#crops[place] as RgbImage, this.#parts.network.size, this.#visual, place * floats);
  }

  /** Frame `place` of the batch that ran last; once for each place. */
  #composite(output: Float32Array, place: number): RgbImage {
    const { size } = this.#parts.network;
    return compositeFrame(
      output,
      place * 3 * size * size,
      size,
      this.#crops[place] as RgbImage,
      this.#backgrounds[place] as RgbImage,
      this.#rects[place] as Rect,
    );
  }
}
