import { SeededRandom } from '../avatars/bench/random.ts';
import { OnnxAudioEncoder } from '../worker/onnx/audio-encoder.ts';
import { deviceName } from '../worker/onnx/device-name.ts';
import { OnnxLipSyncNetwork } from '../worker/onnx/lip-sync-network.ts';
import type { NodesByProvider } from '../worker/onnx/node-placement.ts';
import type { RunSettings, ThreadCounts } from '../worker/onnx/onnx-session.ts';
import { QUIET_THREADS } from '../worker/onnx/onnx-session.ts';
import { InferenceSession, Tensor } from '../worker/onnx/onnxruntime.ts';
import { AUDIO_INPUT_FLOATS, mouthBytes, type NetworkSize, WINDOW_FLOATS } from '../worker/pipeline/contract.ts';
import { type Spread, spread } from './spread.ts';

/** What is checked of one execution provider: where it runs, how far from the CPU it is, how long a frame takes. */

export interface NetworkPaths {
  readonly generatorPath: string;
  readonly encoderPath: string;
}

export interface CheckOptions {
  readonly batches: readonly number[];
  readonly rounds: number;
  /** Batches that would take longer than what is left of this are left out. */
  readonly budgetMs: number;
  readonly threads: ThreadCounts;
}

/** Milliseconds a frame; `none` says why a batch was not measured. */
export interface BatchTiming {
  readonly batch: number;
  /** Frames in one run of the network. */
  readonly framesPerRun: number;
  readonly farm?: Spread;
  readonly bare?: Spread;
  readonly none?: string;
}

export interface ProviderCheck {
  readonly provider: string;
  readonly device: string;
  readonly nodes: NodesByProvider;
  readonly warmUpMs: number;
  /** Largest absolute difference to the CPU; pictures are 0 … 1. */
  readonly generatorError: number;
  readonly encoderError: number;
  readonly timings: readonly BatchTiming[];
}

interface Outputs {
  readonly picture: Float32Array;
  readonly features: Float32Array;
}

/** Frames and windows whose results are compared. */
const COMPARED = 2;

/** What the CPU makes of the inputs that every provider gets. */
export async function cpuOutputs(paths: NetworkPaths, threads: ThreadCounts): Promise<Outputs> {
  const settings = { providers: ['cpu'], threads };
  const network = await OnnxLipSyncNetwork.open(paths.generatorPath, settings);
  try {
    return await outputsOf(network, paths.encoderPath, settings);
  } finally {
    await network.release();
  }
}

/**
 * Bare ONNX Runtime, with nothing of the farm around `session.run`. Its threads sleep between runs, as ours do: threads
 * that spin would take the cores from the run that follows, which is ours, and make it half as slow again.
 */
const BARE_OPTIONS = { extra: { session: QUIET_THREADS } };

/**
 * Opens both networks on one provider and measures them. Ours and bare ONNX Runtime take turns. Ours takes crops and
 * gives mouths in bytes; the bare one takes floats and gives floats.
 * @throws FarmError `dependency_missing` with the reason when the provider cannot run them here.
 */
export async function checkProvider(
  provider: string,
  paths: NetworkPaths,
  expected: Outputs,
  options: CheckOptions,
): Promise<ProviderCheck> {
  const settings: RunSettings = { providers: [provider], threads: options.threads };
  await using opened = new AsyncDisposableStack();
  const network = await OnnxLipSyncNetwork.open(paths.generatorPath, settings);
  opened.defer(() => network.release());
  const found = await outputsOf(network, paths.encoderPath, settings);
  const bare = await InferenceSession.create(paths.generatorPath, {
    ...BARE_OPTIONS,
    executionProviders: [provider],
    intraOpNumThreads: options.threads.intraOp,
  });
  opened.defer(() => bare.release());
  return {
    provider,
    device: await deviceName(provider),
    nodes: network.provider.nodes,
    warmUpMs: network.warmUpMs,
    generatorError: maxAbsError(found.picture, expected.picture),
    encoderError: maxAbsError(found.features, expected.features),
    timings: await timeBatches(network, bare, options),
  };
}

/** Largest absolute difference; NaN as soon as one of them is no number. */
export function maxAbsError(found: Float32Array, expected: Float32Array): number {
  if (found.length !== expected.length) throw new RangeError(`${found.length} floats instead of ${expected.length}`);
  return found.reduce((worst, value, index) => Math.max(worst, Math.abs(value - (expected[index] as number))), 0);
}

async function outputsOf(network: OnnxLipSyncNetwork, encoderPath: string, settings: RunSettings): Promise<Outputs> {
  const { visual, audio } = inputsFor(network.size, COMPARED);
  const picture = (await network.generate(visual, audio, COMPARED)).slice();
  const encoder = await OnnxAudioEncoder.open(encoderPath, settings);
  try {
    const windows = new SeededRandom(3).uniform(COMPARED * WINDOW_FLOATS, 4);
    return { picture, features: await encoder.encode(windows, COMPARED) };
  } finally {
    await encoder.release();
  }
}

async function timeBatches(
  network: OnnxLipSyncNetwork,
  bare: InferenceSession,
  { batches, rounds, budgetMs }: CheckOptions,
): Promise<BatchTiming[]> {
  const endsAt = performance.now() + budgetMs;
  const timings: BatchTiming[] = [];
  let frameMs = network.msPerFrame;
  for (const batch of batches) {
    const framesPerRun = Math.min(batch, network.framesPerRun);
    const pairMs = 2 * batch * frameMs;
    if (performance.now() + pairMs > endsAt) {
      const none = `one round would take ${(pairMs / 1000).toFixed(0)} s, and --budget-s is ${budgetMs / 1000} s`;
      timings.push({ batch, framesPerRun, none });
      continue;
    }
    const measured = await timeBatch(network, bare, { batch, framesPerRun, rounds, endsAt });
    frameMs = measured.farm.median;
    timings.push({ batch, framesPerRun, ...measured });
  }
  return timings;
}

async function timeBatch(
  network: OnnxLipSyncNetwork,
  bare: InferenceSession,
  { batch, framesPerRun, rounds, endsAt }: { batch: number; framesPerRun: number; rounds: number; endsAt: number },
): Promise<{ farm: Spread; bare: Spread }> {
  const { visual, audio } = inputsFor(network.size, batch);
  const crops = Uint8Array.from(
    new SeededRandom(4).uniform(batch * mouthBytes(network.size), 127),
    (value) => value + 128,
  );
  const mouths = new Uint8Array(batch * mouthBytes(network.size));
  const farmMs: number[] = [];
  const bareMs: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    let startedAt = performance.now();
    await network.paint({ crops }, audio, mouths, batch);
    farmMs.push((performance.now() - startedAt) / batch);
    startedAt = performance.now();
    await runBare(bare, network.size, { visual, audio, batch, framesPerRun });
    bareMs.push((performance.now() - startedAt) / batch);
    if (performance.now() > endsAt) break;
  }
  // The first round meets this batch size for the first time; where there is time for one only, it has to do.
  const settled = (values: number[]) => spread(values.length > 1 ? values.slice(1) : values);
  return { farm: settled(farmMs), bare: settled(bareMs) };
}

async function runBare(
  session: InferenceSession,
  size: NetworkSize,
  work: { visual: Float32Array; audio: Float32Array; batch: number; framesPerRun: number },
): Promise<void> {
  const visualFloats = 6 * size * size;
  for (let start = 0; start < work.batch; start += work.framesPerRun) {
    const frames = Math.min(work.framesPerRun, work.batch - start);
    const visual = work.visual.subarray(start * visualFloats, (start + frames) * visualFloats);
    const audio = work.audio.subarray(start * AUDIO_INPUT_FLOATS, (start + frames) * AUDIO_INPUT_FLOATS);
    await session.run({
      input: new Tensor('float32', visual, [frames, 6, size, size]),
      audio: new Tensor('float32', audio, [frames, 32, 16, 16]),
    });
  }
}

/** The same numbers on every machine, 0 … 1, as pictures are; the features of the demo avatar are never negative. */
function inputsFor(size: NetworkSize, frames: number): { visual: Float32Array; audio: Float32Array } {
  const numbers = (seed: number, count: number) =>
    new SeededRandom(seed).uniform(count, 0.5).map((value) => value + 0.5);
  return { visual: numbers(1, frames * 6 * size * size), audio: numbers(2, frames * AUDIO_INPUT_FLOATS) };
}
