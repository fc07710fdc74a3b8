import { type LipSyncNetwork, type MouthFrame, mouthBytes, type RgbImage, type TakeMemory } from './contract.ts';
import { gatherFrameInputs } from './frame-inputs.ts';
import type { InputParts, RenderFramesRequest } from './frame-request.ts';
import { newMemory } from './held-memory.ts';
import { NetworkRuns } from './network-runs.ts';
import { composeFrame, makeCrop } from './pipeline.ts';
import type { StageTimingsMs } from './stage-timings.ts';

/** Runs work that no other work of this thread may interrupt. */
export type TurnTaker = <T>(work: () => Promise<T>) => Promise<T>;

export interface PipelineParts extends InputParts {
  readonly network: LipSyncNetwork;
  /** Held around each run of the network. Absent: nobody else runs the network. */
  readonly inTurn?: TurnTaker;
  /** Where the mouths of a run go: `request.batchFrames` of them. Absent: new memory for each. */
  readonly takeMemory?: TakeMemory;
}

export interface RenderedFrame {
  readonly frameIndex: number;
  /** The receiver's own: later frames do not touch it. */
  readonly image: RgbImage;
}

/**
 * The mouths of the frames in `request.frames`, in order; the receiver releases the memory of each. Memory is bounded by
 * the two batch sizes, not by the length of the sound. Another task may run `parts.network` when a frame is yielded.
 *
 * Frame i is the same, bit for bit, whatever range it is asked in. A network's result may depend on what shares its
 * batch, so batches lie on a grid that is fixed for the whole sound, and are computed whole even for a part of them.
 * @param timings grows as the stages run.
 * @throws FarmError `audio_empty`, `request_invalid` (a range or size that cannot be), `model_unusable` (a crop rect or
 * picture that does not fit the avatar); `signal.reason` once the signal is aborted; whatever the parts throw.
 */
export async function* renderMouths(
  request: RenderFramesRequest,
  parts: PipelineParts,
  signal: AbortSignal,
  timings: StageTimingsMs,
): AsyncGenerator<MouthFrame> {
  const inTurn: TurnTaker = parts.inTurn ?? ((work) => work());
  const { batchFrames } = request;
  const network = new NetworkRuns(parts.network, batchFrames);
  const takeMemory = parts.takeMemory ?? newMemory(batchFrames * mouthBytes(parts.network.size));
  for await (const batch of inBatches(gatherFrameInputs(request, parts, signal, timings), batchFrames)) {
    // Before the turn: others may run the network while this waits.
    const memory = await takeMemory(signal);
    const mouths: MouthFrame[] = [];
    try {
      const made = await inTurn(() => {
        signal.throwIfAborted();
        return network.run(batch, memory);
      });
      mouths.push(...made);
      while (mouths.length > 0) {
        signal.throwIfAborted();
        yield mouths.shift() as MouthFrame;
      }
    } finally {
      memory.release();
      for (const frame of mouths) frame.memory.release();
    }
  }
}

/** As `renderMouths`, with each mouth put into its background in this thread. */
export async function* renderFrames(
  request: RenderFramesRequest,
  parts: PipelineParts,
  signal: AbortSignal,
  timings: StageTimingsMs,
): AsyncGenerator<RenderedFrame> {
  const crop = makeCrop(parts.network.size);
  for await (const frame of renderMouths(request, parts, signal, timings)) {
    const image = composeFrame(frame, crop, new Uint8Array(frame.background.data.length));
    frame.memory.release();
    yield { frameIndex: frame.frameIndex, image };
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
