/** The lip-sync network: the masked face and the speech features around a frame → the face speaking. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import { BATCH_FRAMES } from '../../shared/limits.ts';
import type { Hearing, HearingWishes } from '../../shared/sound/hearing.ts';
import { hearingOfFile, portNamesOfFile } from '../../shared/sound/hearing-of-file.ts';
import type { LipSyncPorts } from '../../shared/sound/lip-sync-ports.ts';
import type { Faces, LipSyncNetwork, NetworkSize } from '../pipeline/contract.ts';
import { generateOutside, paintOutside, type VisualMemory } from '../pipeline/picture-floats.ts';
import type { ByteNames } from './byte-graph.ts';
import { readByteModel } from './byte-model.ts';
import type { ProviderReport } from './execution-providers.ts';
import { OnnxModel } from './onnx-model.ts';
import type { RunSettings } from './onnx-session.ts';
import type { TensorArrays } from './tensor-arrays.ts';
import type { ModelContract } from './tensor-contract.ts';

const SIZES: readonly NetworkSize[] = [160, 320];
const OUTPUT_CHANNELS = 3;

/** What is expected of a network that hears this and calls its tensors so. */
function contractFor({ shape }: Hearing, { visual, audio, output }: LipSyncPorts): ModelContract {
  return {
    role: 'lip-sync network',
    inputs: [
      { name: visual, dims: [6, 'S', 'S'] },
      { name: audio, dims: shape },
    ],
    outputs: [{ name: output, dims: [OUTPUT_CHANNELS, 'S', 'S'] }],
    namedDims: { S: SIZES },
  };
}

export interface NetworkSettings extends RunSettings {
  /** What its entry says of what it hears. */
  readonly hears?: HearingWishes;
}

/**
 * Frames in one run. On the CPU a bigger batch is no faster and takes 0.4 GB more for every frame; one by one
 * also makes a frame's bits independent of the frames beside it.
 */
const CPU_MAX_BATCH = 1;
/** So that no unary request is cut on a GPU. */
const GPU_MAX_BATCH = BATCH_FRAMES.max;

/** The LipSyncNetwork port on ONNX Runtime. One call at a time. */
export class OnnxLipSyncNetwork implements LipSyncNetwork {
  readonly size: NetworkSize;
  readonly hearing: Hearing;
  readonly provider: ProviderReport;
  readonly warmUpMs: number;
  readonly msPerFrame: number;
  readonly framesPerRun: number;
  readonly #model: OnnxModel;
  readonly #ports: LipSyncPorts;
  /** As large as the largest call needed; every call writes to its beginning. */
  #output = new Float32Array();
  /** Of faces that came as pictures; as large as the largest call needed. */
  #visual = new Float32Array();
  #busy = false;

  private constructor(
    model: OnnxModel,
    { size, hearing, ports }: { size: NetworkSize; hearing: Hearing; ports: LipSyncPorts },
    maxBatch: number | undefined,
  ) {
    this.size = size;
    this.#ports = ports;
    this.hearing = hearing;
    this.provider = model.provider;
    this.warmUpMs = model.warmUpMs;
    this.msPerFrame = model.msPerItem;
    this.#model = model;
    const dynamic = maxBatch ?? (model.provider.provider === 'cpu' ? CPU_MAX_BATCH : GPU_MAX_BATCH);
    this.framesPerRun = model.batch === 'dynamic' ? dynamic : model.batch;
  }

  /**
   * Opens a network file: `input` [batch, 6, S, S] and `audio` [batch, …] → `output` [batch, 3, S, S], float32, S = 160
   * or 320 and `audio` of one of the shapes of audio-kinds.ts, as the file has them; other names and another order will
   * do where the shapes tell which is which.
   * @param maxBatch frames in one run, for measuring; 1 on the CPU and 32 elsewhere when absent.
   * @throws FarmError as OnnxModel.open does.
   */
  static async open(
    path: string,
    { hears = {}, ...settings }: NetworkSettings,
    maxBatch?: number,
  ): Promise<OnnxLipSyncNetwork> {
    const hearing = await hearingOfFile(path, hears);
    const ports = await portNamesOfFile(path);
    const contract = contractFor(hearing, ports);
    const model = await OnnxModel.open({
      path,
      contract,
      wrap: () => readByteModel(path, contract, ports),
      ...settings,
    });
    const size = SIZES.find((candidate) => candidate === model.namedDim('S'));
    if (size === undefined) throw new RangeError(`S = ${model.namedDim('S')} passed a contract of ${SIZES}`);
    return new OnnxLipSyncNetwork(model, { size, hearing, ports }, maxBatch);
  }

  /**
   * @param visual [count, 6, S, S] flat, BGR /255.
   * @param audio [count, …hearing.shape] flat.
   * @param count number of frames, ≥ 0.
   * @returns [count, 3, S, S] flat, BGR 0…1 and not clamped. **Valid until the next call**, which writes over it.
   * @throws FarmError `inference_failed`; `internal` when the previous call has not ended.
   */
  async generate(visual: Float32Array, audio: Float32Array, count: number): Promise<Float32Array> {
    const output = this.#outputOf(count * OUTPUT_CHANNELS * this.size * this.size);
    const visualName = this.#model.byteNames?.visual ?? this.#ports.visual;
    await this.#run(count, { [visualName]: visual, [this.#ports.audio]: audio }, { [this.#ports.output]: output });
    return output;
  }

  /**
   * Paints inside the network's graph, or outside of it where that stays as it is: `provider.outside` says why.
   * @param audio [count, …hearing.shape] flat.
   * @param mouths receives [count, S, S, 3] RGB.
   * @param count number of frames, ≥ 0.
   * @throws FarmError as `generate` does.
   */
  async paint(faces: Faces, audio: Float32Array, mouths: Uint8Array, count: number): Promise<void> {
    const names = this.#model.byteNames;
    if (names) return await this.#run(count, this.#inputsOf(faces, audio, names), { [names.mouths]: mouths });
    this.#refuseWhileBusy();
    await paintOutside(this, faces, audio, mouths, count, this.#visualMemory);
  }

  /**
   * As `paint`, without what stands behind the network in its graph.
   * @param mouths receives [count, 3, S, S] flat, BGR 0…1 and not clamped.
   * @throws FarmError as `generate` does.
   */
  async paintFloats(faces: Faces, audio: Float32Array, mouths: Float32Array, count: number): Promise<void> {
    const names = this.#model.byteNames;
    if (names) return await this.#run(count, this.#inputsOf(faces, audio, names), { [this.#ports.output]: mouths });
    this.#refuseWhileBusy();
    mouths.set(await generateOutside(this, faces, audio, count, this.#visualMemory));
  }

  readonly #visualMemory: VisualMemory = (floats) => {
    if (this.#visual.length < floats) this.#visual = new Float32Array(floats);
    return this.#visual.subarray(0, floats);
  };

  async #run(count: number, inputs: TensorArrays, outputs: TensorArrays): Promise<void> {
    this.#refuseWhileBusy();
    this.#busy = true;
    try {
      await this.#model.run(count, inputs, outputs, this.framesPerRun);
    } finally {
      this.#busy = false;
    }
  }

  #refuseWhileBusy(): void {
    if (!this.#busy) return;
    throw new FarmError('internal', `${this.#model.path} was called while its last call was running`);
  }

  /** Ends the session and frees the buffers. */
  async release(): Promise<void> {
    this.#output = new Float32Array();
    this.#visual = new Float32Array();
    await this.#model.release();
  }

  /** What a network that takes bytes is given. */
  #inputsOf(faces: Faces, audio: Float32Array, names: ByteNames): TensorArrays {
    const heard = { [this.#ports.audio]: audio };
    if ('visual' in faces) return { [names.visual]: faces.visual, ...heard };
    const { crops, rois } = faces;
    return { [names.crops]: crops, ...(rois && { [names.rois]: rois }), ...heard };
  }

  #outputOf(floats: number): Float32Array {
    if (this.#output.length < floats) this.#output = new Float32Array(floats);
    return this.#output.subarray(0, floats);
  }
}
