import type { LipSyncNetwork, RgbImage } from './contract.ts';
import { gatherFrameInputs } from './frame-inputs.ts';
import type { InputParts, RenderFramesRequest } from './frame-request.ts';
import { NetworkRuns } from './network-runs.ts';
import type { StageTimingsMs } from './stage-timings.ts';

/** Runs work that no other work of this thread may interrupt. */
export type TurnTaker = <T>(work: () => Promise<T>) => Promise<T>;

export interface PipelineParts extends InputParts {
  readonly network: LipSyncNetwork;
  /** Held around each run of the network and the composites of its pictures. Absent: nobody else runs the network. */
  readonly inTurn?: TurnTaker;
}

export interface RenderedFrame {
  readonly frameIndex: number;
  /** The receiver's own: later frames do not touch it. */
  readonly image: RgbImage;
}

/**
 * The frames of `request.frames`, in order. Memory is bounded by the two batch sizes, not by the length of the sound.
 * No network output is held when a frame is yielded: another task may run `parts.network` then.
 *
 * Frame i is the same, bit for bit, whatever range it is asked in. A network's result may depend on what shares its
 * batch, so batches lie on a grid that is fixed for the whole sound, and are computed whole even for a part of them.
 * @param timings grows as the stages run.
 * @throws FarmError `audio_empty`, `request_invalid` (a range or size that cannot be), `model_unusable` (a crop rect or
 * picture that does not fit the avatar); `signal.reason` once the signal is aborted; whatever the parts throw.
 */
export async function* renderFrames(
  request: RenderFramesRequest,
  parts: PipelineParts,
  signal: AbortSignal,
  timings: StageTimingsMs,
): AsyncGenerator<RenderedFrame> {
  const inTurn: TurnTaker = parts.inTurn ?? ((work) => work());
  const network = new NetworkRuns(parts.network, request.batchFrames);
  for await (const batch of inBatches(gatherFrameInputs(request, parts, signal, timings), request.batchFrames)) {
    const images = await inTurn(() => {
      signal.throwIfAborted();
      return network.run(batch);
    });
    const wanted = batch.filter((frame) => frame.wanted);
    for (const [place, { frameIndex }] of wanted.entries()) {
      signal.throwIfAborted();
      yield { frameIndex, image: images[place] as RgbImage };
    }
  }
}

async function* inBatches<T>(items: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
