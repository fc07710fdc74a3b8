import type { PreparedPicture } from '../compositor/contract.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import { type MouthFrame, mouthBytes } from '../pipeline/contract.ts';
import { gatherFrameInputs } from '../pipeline/frame-inputs.ts';
import { noTimings, type StageTimingsMs } from '../pipeline/stage-timings.ts';
import { LiveBatches, type LiveBatchSettings } from './live-batches.ts';
import { PieceOfSound, readGivenInputs, readSamples } from './live-inputs.ts';
import { mouthPool } from './memory-pool.ts';
import { StreamFeatures } from './stream-features.ts';
import type { LiveTask } from './thread-protocol.ts';
import type { Turns } from './turns.ts';

/** What the live requests for one model have in common. */
interface LiveModel {
  readonly batches: LiveBatches<PreparedPicture>;
  readonly features: StreamFeatures;
}

/** Makes the mouths of live requests, those for the same model in shared runs of its network. */
export class LiveRenderer {
  readonly #turns: Turns;
  readonly #settings: LiveBatchSettings;
  /** An entry goes with its model. */
  readonly #models = new WeakMap<LoadedModel, LiveModel>();

  constructor(turns: Turns, settings: LiveBatchSettings) {
    this.#turns = turns;
    this.#settings = settings;
  }

  /**
   * Runs the pipeline over the frames of a request and hands each mouth over as it is made, in order: the receiver
   * releases its memory.
   * @throws `signal.reason` when the signal is aborted; FarmError as the pipeline does.
   */
  async render(
    task: LiveTask,
    model: LoadedModel,
    signal: AbortSignal,
    onFrame: (frame: MouthFrame<PreparedPicture>) => void,
  ): Promise<StageTimingsMs> {
    const { batches, features } = this.#liveModel(model);
    const { frames, startFrameIndex, totalSamples, rowsAhead, streamId } = task;
    const { network, encoder, prepared } = model;
    const timings = noTimings();
    const parts = {
      audio: new PieceOfSound(readSamples(task.audio), task.firstSample, totalSamples),
      given: readGivenInputs(task, frames.end - frames.start, network.size, totalSamples === 0),
      memory: streamId === undefined ? undefined : features.of(streamId),
      ...{ encoder, network, pictures: prepared },
    };
    const request = {
      ...{ frames, startFrameIndex, rowsAhead, totalFrames: frames.end },
      batchFrames: this.#maxFrames(model),
      encoderBatchWindows: 1,
      grid: 'request',
    } as const;
    const inputs = gatherFrameInputs(request, parts, signal, timings);
    await batches.render({ inputs, source: streamId ?? task.requestId, signal, onFrame });
    return timings;
  }

  #liveModel(model: LoadedModel): LiveModel {
    const known = this.#models.get(model);
    if (known) return known;
    const settings = { ...this.#settings, maxFrames: this.#maxFrames(model) };
    const memory = mouthPool(settings.maxFrames, mouthBytes(model.network.size));
    const batches = new LiveBatches<PreparedPicture>(model.network, this.#turns, settings, (aborted) =>
      memory.take(aborted),
    );
    const made = { batches, features: new StreamFeatures() };
    this.#models.set(model, made);
    return made;
  }

  #maxFrames({ network }: LoadedModel): number {
    return Math.min(this.#settings.maxFrames, network.framesPerRun);
  }
}
