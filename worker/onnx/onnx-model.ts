/** One ONNX file as one session: its checked shapes, its provider, its runs. */

import { FarmError } from '../../shared/errors/farm-error.ts';
import type { ByteNames } from './byte-graph.ts';
import type { ProviderReport } from './execution-providers.ts';
import { type OnnxModelOptions, type OpenSession, openSessionOnFirstProvider } from './onnx-session.ts';
import type { InferenceSession } from './onnxruntime.ts';
import { type FlatArray, freeTensor, sliceItems, type TensorArrays, toTensors } from './tensor-arrays.ts';
import type { BoundContract, BoundTensor } from './tensor-contract.ts';

/** In the words of CUDA, of ONNX Runtime's own allocator and of C++. */
const OUT_OF_MEMORY = /out of memory|failed to allocate memory|bad_alloc|CUBLAS_STATUS_ALLOC_FAILED/i;

/**
 * Owns one session from open to release. A run blocks its thread's event loop from start to end, so an
 * instance belongs in a worker thread; calls from several places queue up and never overlap.
 */
export class OnnxModel {
  readonly path: string;
  readonly provider: ProviderReport;
  /** Duration of the first run, at the smallest batch. */
  readonly warmUpMs: number;
  /** Duration of the second run divided by its items: what later runs take per item. */
  readonly msPerItem: number;
  /** Names for bytes, if it takes and gives them: see `wrap` of its options. */
  readonly byteNames: ByteNames | undefined;
  readonly #bound: BoundContract;
  #session: InferenceSession | undefined;

  private constructor(path: string, provider: ProviderReport, { session, bound, ...warm }: OpenSession) {
    this.path = path;
    this.provider = provider;
    this.warmUpMs = warm.warmUpMs;
    this.msPerItem = warm.msPerItem;
    this.byteNames = warm.byteNames;
    this.#bound = bound;
    this.#session = session;
  }

  /**
   * Opens a model on the first provider that can run it, checks its tensors against the contract and runs it once.
   * @throws FarmError `model_unusable`: no such file, no ONNX model, other names, types or shapes, or it cannot run.
   * @throws FarmError `dependency_missing`: the model is valid but no configured provider works here.
   * @throws FarmError `config_invalid`: no provider configured.
   */
  static async open(options: OnnxModelOptions): Promise<OnnxModel> {
    const { opened, provider } = await openSessionOnFirstProvider(options);
    return new OnnxModel(options.path, provider, opened);
  }

  /** Length of the batch axis if the model fixes it. */
  get batch(): number | 'dynamic' {
    return this.#bound.batch;
  }

  /** The model's value of a named dim of its contract; RangeError for a name that the contract has not. */
  namedDim(name: string): number {
    const size = this.#bound.namedDims.get(name);
    if (size === undefined) throw new RangeError(`the contract of ${this.path} names no size ${name}`);
    return size;
  }

  /**
   * Runs the model on `count` items, in as many runs as its batch axis asks for; the last of a fixed batch is padded
   * with zeros.
   * @param inputs arrays of count × item values for every input that must not be empty; not copied when the batch fits.
   * @param outputs arrays of count × item values for the outputs wanted: the results are written into them.
   * @param maxBatch items in one run at most, when the batch axis is dynamic; ≥ 1.
   * @throws FarmError `inference_failed`: arrays of another length, released, or ONNX Runtime's own error; `resources_exhausted`
   * when the device has no memory left.
   */
  async run(count: number, inputs: TensorArrays, outputs: TensorArrays, maxBatch: number): Promise<void> {
    const { batch } = this.#bound;
    const wantedSpecs = this.#bound.outputs.filter(({ name }) => name in outputs);
    const step = batch === 'dynamic' ? maxBatch : batch;
    try {
      for (let start = 0; start < count; start += step) {
        const items = Math.min(step, count - start);
        const runSize = batch === 'dynamic' ? items : batch;
        const slice = (arrays: TensorArrays) => (tensor: BoundTensor) =>
          sliceItems(arrays[tensor.name], tensor, { start, items, count });
        const given = this.#bound.inputs.map(slice(inputs));
        await this.#runOnce(runSize, given, wantedSpecs, wantedSpecs.map(slice(outputs)));
      }
    } catch (cause) {
      throw failedRun(`${this.path} on ${this.provider.provider}, ${count} items`, cause);
    }
  }

  /** Ends the session and frees its memory; runs after it fail. Calling it again does nothing. */
  async release(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }

  /** One run of exactly `runSize` items; arrays shorter than that are padded on the way in and cut on the way out. */
  async #runOnce(
    runSize: number,
    given: readonly FlatArray[],
    specs: readonly BoundTensor[],
    wanted: readonly FlatArray[],
  ): Promise<void> {
    if (this.#session === undefined) throw new Error('the model has been released');
    const feeds = toTensors(this.#bound.inputs, given, runSize);
    const fetches = toTensors(specs, wanted, runSize);
    const copies = await this.#session.run(feeds, fetches);
    // Preallocated outputs are written in place; the tensors that run() returns are copies.
    for (const { name } of specs) if (copies[name] !== fetches[name]) freeTensor(copies[name]);
    for (const [index, { name }] of specs.entries()) {
      const target = wanted[index];
      const written = fetches[name]?.data;
      if (target === undefined || written === undefined || written === target) continue;
      target.set((written as FlatArray).subarray(0, target.length));
    }
  }
}

/** The error of a run that failed. @param what which file, where, and of how much. */
export function failedRun(what: string, cause: unknown): FarmError {
  const reason = cause instanceof Error ? cause.message.trim() : String(cause);
  const code = OUT_OF_MEMORY.test(reason) ? 'resources_exhausted' : 'inference_failed';
  return new FarmError(code, `a run of ${what}, failed: ${reason}`, { cause });
}
