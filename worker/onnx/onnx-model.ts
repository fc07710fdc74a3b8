/** One ONNX file as one session: its checked shapes, its provider, its runs. */

import { access, constants } from 'node:fs/promises';
import { FarmError } from '../../shared/errors.ts';
import { openOnFirstProvider, type PassedOverProvider, type ProviderReport } from './execution-providers.ts';
import { checkPlacement, type NodesByProvider, PlacementProbe } from './node-placement.ts';
import { InferenceSession, Tensor } from './onnxruntime.ts';
import {
  type BoundContract,
  type BoundTensor,
  bindContract,
  describeContract,
  type ModelContract,
} from './tensor-contract.ts';

/** ONNX Runtime's thread pools; 0 leaves the number to it. */
export interface ThreadCounts {
  /** Threads inside one operator. */
  readonly intraOp: number;
  /** Operators side by side; of no effect while models run sequentially. */
  readonly interOp: number;
}

export interface RunSettings {
  /** Execution providers in order of preference, lower case, at least one. */
  readonly providers: readonly string[];
  readonly threads: ThreadCounts;
}

export interface OnnxModelOptions extends RunSettings {
  readonly path: string;
  readonly contract: ModelContract;
}

/** Flat arrays by tensor name, each [count, …]. */
export type TensorArrays = Readonly<Record<string, Float32Array>>;

/** ONNX Runtime's quietest level: its errors reach us as exceptions, so they need not be on stderr too. */
const LOG_FATAL_ONLY = 4;

interface OpenSession {
  readonly session: InferenceSession;
  readonly bound: BoundContract;
  readonly nodes: NodesByProvider;
  readonly warmUpMs: number;
  readonly msPerItem: number;
}

/**
 * Owns one session from open to release. A run blocks its thread's event loop from start to end, so an
 * instance belongs in a worker thread; calls from several places queue up and never overlap.
 */
export class OnnxModel {
  readonly path: string;
  readonly provider: ProviderReport;
  /** Duration of the first run, at the smallest batch: tells a GPU from a CPU that took its place. */
  readonly warmUpMs: number;
  /** Duration of the run after it, by item: what runs take from now on. */
  readonly msPerItem: number;
  readonly #bound: BoundContract;
  #session: InferenceSession | undefined;

  private constructor(path: string, provider: ProviderReport, { session, bound, ...warm }: OpenSession) {
    this.path = path;
    this.provider = provider;
    this.warmUpMs = warm.warmUpMs;
    this.msPerItem = warm.msPerItem;
    this.#bound = bound;
    this.#session = session;
  }

  /**
   * Opens a model on the first provider that can run it, checks its tensors against the contract and runs it once.
   * @throws FarmError `model_unusable`: no such file, no ONNX model, other names, types or shapes, or it cannot run.
   * @throws FarmError `dependency_missing`: the model is sound but no configured provider works here.
   * @throws FarmError `config_invalid`: no provider configured.
   */
  static async open(options: OnnxModelOptions): Promise<OnnxModel> {
    const { path, contract } = options;
    await access(path, constants.R_OK).catch((cause: Error) => {
      throw new FarmError('model_unusable', `the ${contract.role} cannot be read: ${cause.message}`, { cause });
    });
    const choice = await openOnFirstProvider(options.providers, (provider) => openSession(options, provider));
    if (choice.opened === undefined) throw await blame(options, choice.passedOver);
    const { provider, passedOver, opened } = choice;
    return new OnnxModel(path, { provider, passedOver, nodes: opened.nodes }, opened);
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
   * @param inputs arrays of count × item floats for every input; not copied when the batch fits.
   * @param outputs arrays of count × item floats for every output: the results are written into them.
   * @param maxBatch items in one run at most, when the batch axis is dynamic; ≥ 1.
   * @throws FarmError `inference_failed`: arrays of another length, released, or ONNX Runtime's own error.
   */
  async run(count: number, inputs: TensorArrays, outputs: TensorArrays, maxBatch: number): Promise<void> {
    const { batch } = this.#bound;
    const step = batch === 'dynamic' ? maxBatch : batch;
    try {
      for (let start = 0; start < count; start += step) {
        const items = Math.min(step, count - start);
        const runSize = batch === 'dynamic' ? items : batch;
        const slice = (arrays: TensorArrays) => (tensor: BoundTensor) =>
          sliceItems(arrays[tensor.name], tensor, { start, items, count });
        const given = this.#bound.inputs.map(slice(inputs));
        const wanted = this.#bound.outputs.map(slice(outputs));
        await this.#runOnce(runSize, given, wanted);
      }
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message.trim() : String(cause);
      const where = `${this.path} on ${this.provider.provider}, ${count} items`;
      throw new FarmError('inference_failed', `a run of ${where}, failed: ${reason}`, { cause });
    }
  }

  /** Ends the session and frees its memory; runs after it fail. Calling it again does nothing. */
  async release(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }

  /** One run of exactly `runSize` items; arrays shorter than that are padded on the way in and cut on the way out. */
  async #runOnce(runSize: number, given: readonly Float32Array[], wanted: readonly Float32Array[]): Promise<void> {
    if (this.#session === undefined) throw new Error('the model has been released');
    const feeds = toTensors(this.#bound.inputs, given, runSize);
    const fetches = toTensors(this.#bound.outputs, wanted, runSize);
    await this.#session.run(feeds, fetches);
    // Preallocated outputs are written in place; the tensors that run() returns are copies.
    for (const [index, { name }] of this.#bound.outputs.entries()) {
      const target = wanted[index];
      const written = fetches[name]?.data;
      if (target === undefined || !(written instanceof Float32Array) || written === target) continue;
      target.set(written.subarray(0, target.length));
    }
  }
}

/** Opens the file on one provider, checks and warms it. A FarmError is about the model, other errors the provider. */
async function openSession(options: OnnxModelOptions, provider: string): Promise<OpenSession> {
  const { path, contract, threads } = options;
  await using probe = provider === 'cpu' ? undefined : await PlacementProbe.start();
  const session = await InferenceSession.create(path, {
    ...probe?.sessionOptions,
    executionProviders: [provider],
    intraOpNumThreads: threads.intraOp,
    interOpNumThreads: threads.interOp,
    graphOptimizationLevel: 'all',
    enableCpuMemArena: true,
    executionMode: 'sequential',
    logSeverityLevel: LOG_FATAL_ONLY,
    // Waiting threads would spin, and take the cores from x264, JPEG and the thread that talks to Redis.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  try {
    const result = bindContract(contract, session.inputMetadata, session.outputMetadata);
    if (!result.fits) throw unusable(path, contract, result.reason);
    const warm = await warmUp(session, result.bound, options, probe);
    checkPlacement(provider, warm.nodes);
    return { session, bound: result.bound, ...warm };
  } catch (thrown) {
    await session.release();
    throw thrown;
  }
}

/** Runs zeros through the model: pays the first run's allocations, checks what symbolic dims really are, times a run. */
async function warmUp(
  session: InferenceSession,
  bound: BoundContract,
  { path, contract }: OnnxModelOptions,
  probe: PlacementProbe | undefined,
): Promise<Pick<OpenSession, 'nodes' | 'warmUpMs' | 'msPerItem'>> {
  const batch = bound.batch === 'dynamic' ? 1 : bound.batch;
  const zeros = bound.inputs.map((tensor) => new Float32Array(batch * tensor.floatsPerItem));
  const feeds = toTensors(bound.inputs, zeros, batch);
  const startedAt = performance.now();
  const results = await session.run(feeds);
  const warmUpMs = performance.now() - startedAt;
  for (const tensor of bound.outputs) {
    const found = results[tensor.name]?.dims.join(', ');
    const expected = [batch, ...tensor.dims].join(', ');
    if (found === expected) continue;
    const reason = `a run of batch ${batch} gave ${tensor.name} [${found}] instead of [${expected}]`;
    throw unusable(path, contract, `${reason}; ${describeContract(contract)}`);
  }
  const nodes = (await probe?.read(session)) ?? {};
  const warmAt = performance.now();
  await session.run(feeds);
  return { nodes, warmUpMs, msPerItem: (performance.now() - warmAt) / batch };
}

/** The error when no provider opened the model. The CPU can run any sound model, so it tells which side is at fault. */
async function blame(options: OnnxModelOptions, passedOver: readonly PassedOverProvider[]): Promise<FarmError> {
  const { path, contract } = options;
  const onCpu = await openSession(options, 'cpu').catch((thrown: unknown) => FarmError.from(thrown, 'model_unusable'));
  if (onCpu instanceof FarmError) {
    return unusable(path, contract, `ONNX Runtime refuses it: ${onCpu.message.trim()}; ${describeContract(contract)}`);
  }
  await onCpu.session.release();
  const tried = passedOver.map(({ provider, reason }) => `${provider}: ${reason}`).join('; ');
  return new FarmError('dependency_missing', `no configured execution provider can run ${path}: ${tried}`);
}

function unusable(path: string, contract: ModelContract, reason: string): FarmError {
  return new FarmError('model_unusable', `${path} cannot serve as the ${contract.role}: ${reason}`);
}

/** Items [start, start + items) of a flat array, as a view. */
function sliceItems(
  array: Float32Array | undefined,
  { name, floatsPerItem }: BoundTensor,
  { start, items, count }: { start: number; items: number; count: number },
): Float32Array {
  if (array?.length !== count * floatsPerItem) {
    throw new Error(`${name} has ${array?.length ?? 'no'} floats, expected ${count} × ${floatsPerItem}`);
  }
  return array.subarray(start * floatsPerItem, (start + items) * floatsPerItem);
}

/** Tensors [batch, …dims] over the arrays themselves, or over zero-padded copies where they are too short. */
function toTensors(
  specs: readonly BoundTensor[],
  arrays: readonly Float32Array[],
  batch: number,
): Record<string, Tensor> {
  return Object.fromEntries(
    specs.map(({ name, dims, floatsPerItem }, index) => {
      let array = arrays[index] ?? new Float32Array();
      if (array.length < batch * floatsPerItem) {
        const padded = new Float32Array(batch * floatsPerItem);
        padded.set(array);
        array = padded;
      }
      return [name, new Tensor('float32', array, [batch, ...dims])];
    }),
  );
}
