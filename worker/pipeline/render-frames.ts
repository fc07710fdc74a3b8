import {
  type AvatarFrames,
  type LipSyncNetwork,
  type MouthFrame,
  mouthBytes,
  type RgbImage,
  type TakeMemory,
} from './contract.ts';
import { CutPictures } from './cut-pictures.ts';
import { gatherFrameInputs } from './frame-inputs.ts';
import type { InputParts, RenderFramesRequest } from './frame-request.ts';
import { newMemory } from './held-memory.ts';
import { NetworkRuns } from './network-runs.ts';
import { compositeFrame } from './pipeline.ts';
import type { SilentMouths } from './silent-mouths.ts';
import { StageClock, type StageTimingsMs } from './stage-timings.ts';

/** Runs work that no other work of this thread may interrupt. */
export type TurnTaker = <T>(work: () => Promise<T>) => Promise<T>;

export interface PipelineParts<Picture> extends InputParts<Picture> {
  readonly network: LipSyncNetwork;
  /** Held around each run of the network. Absent: nobody else runs the network. */
  readonly inTurn?: TurnTaker;
  /** For frames in silence; absent: the network runs for all frames. */
  readonly silentMouths?: SilentMouths;
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
export async function* renderMouths<Picture>(
  request: RenderFramesRequest,
  parts: PipelineParts<Picture>,
  signal: AbortSignal,
  timings: StageTimingsMs,
): AsyncGenerator<MouthFrame<Picture>> {
  const inTurn: TurnTaker = parts.inTurn ?? ((work) => work());
  const { batchFrames } = request;
  const { silentMouths } = parts;
  const network = new NetworkRuns(parts.network, batchFrames, { silentMouths, whole: request.grid !== 'request' });
  const takeMemory = parts.takeMemory ?? newMemory(batchFrames * mouthBytes(parts.network.size));
  for await (const batch of inBatches(gatherFrameInputs(request, parts, signal, timings), batchFrames)) {
    // Before the turn: others may run the network while this waits.
    const memory = await takeMemory(signal);
    const mouths: MouthFrame<Picture>[] = [];
    try {
      const found = network.findSilent(batch);
      const run = () => {
        signal.throwIfAborted();
        return network.run(batch, memory, found);
      };
      const made = await (network.needsNetwork(batch, found) ? inTurn(run) : run());
      mouths.push(...made);
      while (mouths.length > 0) {
        signal.throwIfAborted();
        yield mouths.shift() as MouthFrame<Picture>;
      }
    } finally {
      memory.release();
      for (const frame of mouths) frame.memory.release();
    }
  }
}

/** What frames are made from in plain TypeScript: the avatar's own files instead of prepared pictures. */
export interface PlainParts extends Omit<PipelineParts<unknown>, 'pictures'> {
  readonly avatar: AvatarFrames;
}

/**
 * As `renderMouths`, with each mouth put into its background, in this thread: slowly, and the definition of what frames
 * look like.
 */
export async function* renderFrames(
  request: RenderFramesRequest,
  { avatar, ...parts }: PlainParts,
  signal: AbortSignal,
  timings: StageTimingsMs,
): AsyncGenerator<RenderedFrame> {
  const { size } = parts.network;
  const pictures = new CutPictures(avatar, size);
  for await (const { frameIndex, mouth, memory, picture } of renderMouths(
    request,
    { ...parts, pictures },
    signal,
    timings,
  )) {
    const { background, rect, crop, weights } = picture;
    const clock = new StageClock(timings);
    const image = compositeFrame(mouth, size, crop, background, rect, new Uint8Array(background.data.length), weights);
    clock.lap('composite');
    memory.release();
    yield { frameIndex, image };
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
