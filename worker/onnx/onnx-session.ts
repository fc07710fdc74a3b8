/** Opens a session on the first provider that can run the file, checks it against its contract and warms it up. */

import { dirname } from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { requireFile } from '../../shared/files/regular-file.ts';
import type { ByteNames } from './byte-graph.ts';
import { type ByteModel, NotWrapped } from './byte-model.ts';
import { openOnFirstProvider, type PassedOverProvider, type ProviderReport } from './execution-providers.ts';
import { checkPlacement, type NodesByProvider, PlacementProbe } from './node-placement.ts';
import { InferenceSession } from './onnxruntime.ts';
import { toTensors, zeros } from './tensor-arrays.ts';
import { type BoundContract, bindContract, describeContract, type ModelContract } from './tensor-contract.ts';

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
  /** Reads the file as a model that takes and gives bytes as well. */
  readonly wrap?: () => Promise<ByteModel>;
}

/** ONNX Runtime's quietest level: its errors reach us as exceptions, so they need not be on stderr too. */
const LOG_FATAL_ONLY = 4;

/**
 * How long a thread waits awake for the next operator before it sleeps. Most come within a few microseconds, and to wake
 * a thread takes longer than that; one that waited awake for long would take the cores from x264, the compositor and the
 * thread that talks to Redis. Between runs all sleep.
 */
const SPIN_US = '20';
/** Of ONNX Runtime's configuration, under `session`. */
export const QUIET_THREADS = {
  intra_op: { allow_spinning: '1', spin_duration_us: SPIN_US },
  force_spinning_stop: '1',
};

export interface OpenSession {
  readonly session: InferenceSession;
  readonly bound: BoundContract;
  /** Names for bytes, if it takes and gives them. */
  readonly byteNames: ByteNames | undefined;
  readonly nodes: NodesByProvider;
  readonly warmUpMs: number;
  readonly msPerItem: number;
}

/**
 * Opens a model on the first provider that can run it, checks its tensors against the contract and runs it once.
 * @throws FarmError `model_unusable`: no such file, no ONNX model, other names, types or shapes, or it cannot run.
 * @throws FarmError `dependency_missing`: the model is valid but no configured provider works here.
 * @throws FarmError `config_invalid`: no provider configured.
 */
export async function openSessionOnFirstProvider(
  options: OnnxModelOptions,
): Promise<{ readonly opened: OpenSession; readonly provider: ProviderReport }> {
  const { path, contract } = options;
  await requireFile(path).catch((cause: Error) => {
    throw new FarmError('model_unusable', `the ${contract.role} cannot be read: ${cause.message}`, { cause });
  });
  using wrapped = await wrappedModel(options);
  const choice = await openOnFirstProvider(options.providers, (provider) => openEither(options, provider, wrapped));
  if (choice.opened === undefined) throw await blame(options, choice.passedOver);
  const { provider, passedOver, opened } = choice;
  return { opened, provider: { provider, passedOver, nodes: opened.nodes, outside: opened.outside } };
}

/** The model for bytes, or why there is none. */
interface Wrapped extends Disposable {
  readonly model: ByteModel | undefined;
  readonly outside: string | undefined;
}

async function wrappedModel({ wrap }: OnnxModelOptions): Promise<Wrapped> {
  try {
    const model = await wrap?.();
    return { model, outside: undefined, [Symbol.dispose]: () => model?.[Symbol.dispose]() };
  } catch (thrown) {
    if (!(thrown instanceof NotWrapped)) throw thrown;
    return { model: undefined, outside: thrown.message, [Symbol.dispose]() {} };
  }
}

type OpenOutcome = OpenSession & { readonly outside: string | undefined };

/**
 * Opens the model for bytes, and the file as it is where that cannot run here. What is wrong with either shows with the
 * file.
 */
async function openEither(options: OnnxModelOptions, provider: string, wrapped: Wrapped): Promise<OpenOutcome> {
  const { model } = wrapped;
  if (model === undefined) return { ...(await openSession(options, provider)), outside: wrapped.outside };
  const opened = await openSession(options, provider, model).catch((thrown: unknown) => FarmError.from(thrown));
  if (!(opened instanceof FarmError)) return { ...opened, outside: undefined };
  return { ...(await openSession(options, provider)), outside: opened.message.trim() };
}

/**
 * Opens the file, or `model` in its place, on one provider, checks it and warms it up. A FarmError is about the model,
 * other errors are about the provider.
 */
async function openSession(options: OnnxModelOptions, provider: string, model?: ByteModel): Promise<OpenSession> {
  await using probe = provider === 'cpu' ? undefined : await PlacementProbe.start();
  const session = await createSession(options, provider, probe, model);
  try {
    const bound = model?.bound ?? boundFile(session, options);
    const warm = await warmUp(session, bound, options, probe);
    checkPlacement(provider, warm.nodes);
    return { session, bound, byteNames: model?.names, ...warm };
  } catch (thrown) {
    await session.release();
    throw thrown;
  }
}

/** @param model read instead of the file. */
export async function createSession(
  { path, threads }: Pick<OnnxModelOptions, 'path' | 'threads'>,
  provider: string,
  probe: PlacementProbe | undefined,
  model: ByteModel | undefined,
): Promise<InferenceSession> {
  const options: InferenceSession.SessionOptions = {
    ...probe?.sessionOptions,
    executionProviders: [provider],
    intraOpNumThreads: threads.intraOp,
    interOpNumThreads: threads.interOp,
    graphOptimizationLevel: 'all',
    enableCpuMemArena: true,
    executionMode: 'sequential',
    logSeverityLevel: LOG_FATAL_ONLY,
    extra: {
      session: {
        ...QUIET_THREADS,
        // Weights in files of their own are found beside the model, though that comes from memory.
        ...(model && { model_external_initializers_file_folder_path: dirname(path) }),
      },
    },
  };
  return await (model ? InferenceSession.create(model.bytes, options) : InferenceSession.create(path, options));
}

function boundFile(session: InferenceSession, { path, contract }: OnnxModelOptions): BoundContract {
  const result = bindContract(contract, session.inputMetadata, session.outputMetadata);
  if (!result.fits) throw unusable(path, contract, result.reason);
  return result.bound;
}

/** Runs the model on zeros: makes the allocations of the first run, checks the symbolic dims, and times a run. */
async function warmUp(
  session: InferenceSession,
  bound: BoundContract,
  { path, contract }: OnnxModelOptions,
  probe: PlacementProbe | undefined,
): Promise<Pick<OpenSession, 'nodes' | 'warmUpMs' | 'msPerItem'>> {
  const batch = bound.batch === 'dynamic' ? 1 : bound.batch;
  const inputs = bound.inputs.map((tensor) => zeros(tensor, tensor.use === 'empty at first' ? 0 : batch));
  const feeds = toTensors(bound.inputs, inputs, batch);
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

/**
 * The error when no provider opened the model. The CPU can run any valid model, so a try there shows which is at fault.
 */
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
