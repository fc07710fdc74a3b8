import { IdleTrack } from '../../shared/sound/idle-track.ts';
import { VoiceTrack } from '../../shared/sound/silence-gate.ts';
import type { PreparedPicture } from '../compositor/contract.ts';
import type { LoadedModel } from '../models/loaded-model.ts';
import {
  type AvatarPictures,
  bytesOfMouth,
  type FrameInputs,
  type MouthForm,
  type MouthFrame,
  noSilence,
  type SilenceCounts,
} from '../pipeline/contract.ts';
import { gatherFrameInputs } from '../pipeline/frame-inputs.ts';
import { noTimings, type StageTimingsMs, tracedTimings } from '../pipeline/stage-timings.ts';
import { withIdleClip } from '../prepared/idle-clip.ts';
import { FacesOnly } from './faces-only.ts';
import { LiveBatches, type LiveBatchSettings } from './live-batches.ts';
import { PieceOfSound, readGivenInputs, readSamples } from './live-inputs.ts';
import { mouthPool } from './memory-pool.ts';
import { StreamFeatures } from './stream-features.ts';
import type { LiveTask } from './thread-protocol.ts';
import type { Turns } from './turns.ts';

/** What the live requests for one model have in common. */
interface LiveModel {
  /** Of mouths that go into pictures. */
  readonly batches: LiveBatches<PreparedPicture>;
  /** Of mouths that go into none. */
  readonly bareBatches: () => LiveBatches<undefined>;
  readonly features: StreamFeatures;
}

/** What a request took, and what its silence spared. */
export interface LiveWorkDone {
  readonly timings: StageTimingsMs;
  readonly silence: SilenceCounts;
}

type OnMouth<Picture> = (frame: MouthFrame<Picture>) => void;

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
    onFrame: OnMouth<PreparedPicture>,
  ): Promise<LiveWorkDone> {
    const done = nothingDone(task);
    const inputs = this.#inputs(task, model, withIdleClip(model.prepared, model.idle), signal, done);
    await this.#liveModel(model).batches.render({ inputs, source: sourceOf(task), signal, onFrame });
    return done;
  }

  /**
   * The same for mouths that are wanted as they are: [3, S, S] float32, BGR 0…1, as the network gives them. Pictures are
   * not read, and with visual inputs of its own the request needs none.
   * @throws as `render`.
   */
  async renderBare(
    task: LiveTask,
    model: LoadedModel,
    signal: AbortSignal,
    onFrame: OnMouth<undefined>,
  ): Promise<LiveWorkDone> {
    const done = nothingDone(task);
    const faces = new FacesOnly(model.prepared, task.visualFrames.byteLength > 0);
    const inputs = this.#inputs(task, model, faces, signal, done);
    await this.#liveModel(model)
      .bareBatches()
      .render({ inputs, source: sourceOf(task), signal, onFrame });
    return done;
  }

  #inputs<Picture>(
    task: LiveTask,
    model: LoadedModel,
    pictures: AvatarPictures<Picture>,
    signal: AbortSignal,
    { timings, silence: counts }: LiveWorkDone,
  ): AsyncGenerator<FrameInputs<Picture>> {
    const { frames, startFrameIndex, backgroundMode, frameRate, totalSamples, rowsAhead, streamId } = task;
    const { network, encoder } = model;
    const voices = task.voices === undefined ? undefined : new VoiceTrack(task.voices, frames.start);
    const idle = task.idle && new IdleTrack(task.idle, frames.start);
    const parts = {
      audio: new PieceOfSound(readSamples(task.audio), task.firstSample, totalSamples),
      given: readGivenInputs(task, frames.end - frames.start, network, totalSamples === 0),
      memory: streamId === undefined ? undefined : this.#liveModel(model).features.of(streamId),
      ...{ encoder, network, pictures },
    };
    const request = {
      ...{ frames, startFrameIndex, backgroundMode, frameRate, rowsAhead, totalFrames: frames.end },
      batchFrames: this.#maxFrames(model),
      encoderBatchWindows: 1,
      grid: 'request',
      gate: voices && { voices, idle, counts },
    } as const;
    return gatherFrameInputs(request, parts, signal, timings);
  }

  #liveModel(model: LoadedModel): LiveModel {
    const known = this.#models.get(model);
    if (known) return known;
    let bare: LiveBatches<undefined> | undefined;
    const made = {
      batches: this.#batches<PreparedPicture>(model, 'picture'),
      bareBatches: () => {
        bare ??= this.#batches<undefined>(model, 'floats');
        return bare;
      },
      features: new StreamFeatures(),
    };
    this.#models.set(model, made);
    return made;
  }

  #batches<Picture>(model: LoadedModel, form: MouthForm): LiveBatches<Picture> {
    const { silentMouths } = model;
    const settings = { ...this.#settings, maxFrames: this.#maxFrames(model), form, silentMouths };
    const memory = mouthPool(settings.maxFrames, bytesOfMouth(form, model.network.size));
    return new LiveBatches<Picture>(model.network, this.#turns, settings, (aborted) => memory.take(aborted));
  }

  #maxFrames({ network }: LoadedModel): number {
    return Math.min(this.#settings.maxFrames, network.framesPerRun);
  }
}

function nothingDone({ traced }: LiveTask): LiveWorkDone {
  return { timings: traced ? tracedTimings() : noTimings(), silence: noSilence() };
}

function sourceOf({ streamId, requestId }: LiveTask): string {
  return streamId ?? requestId;
}
