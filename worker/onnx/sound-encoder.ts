/**
 * Encoders that people export themselves, for HuBERT and WeNet: one part of the sound a run. Their files differ in names
 * and in what else they take, so each kind has a form that finds its place in what a file declares.
 */

import { FarmError } from '../../shared/errors/farm-error.ts';
import { requireFile } from '../../shared/files/regular-file.ts';
import type { AudioEncoder } from '../pipeline/contract.ts';
import { openOnFirstProvider, type PassedOverProvider, type ProviderReport } from './execution-providers.ts';
import { checkPlacement, type NodesByProvider, PlacementProbe } from './node-placement.ts';
import { failedRun } from './onnx-model.ts';
import { createSession, type RunSettings } from './onnx-session.ts';
import type { InferenceSession, Tensor } from './onnxruntime.ts';
import { freeTensor } from './tensor-arrays.ts';

export type Ports = readonly InferenceSession.ValueMetadata[];

/** How a file of some form is run. */
export interface EncoderPlan {
  /** Everything that a run of one part is fed. */
  readonly feeds: (part: Float32Array) => Record<string, Tensor>;
  /** The output that is the features. */
  readonly output: string;
}

export interface EncoderForm {
  /** In messages: "HuBERT encoder". */
  readonly role: string;
  /** What is expected, in words. */
  readonly expected: string;
  /** How to run such a file, or why it is none. */
  plan(inputs: Ports, outputs: Ports): EncoderPlan | string;
  /** Floats of a part for the first run. */
  readonly trialFloats: number;
  /** Floats that a part of so many floats gives. */
  resultFloats(partFloats: number): number;
}

interface Opened {
  readonly session: InferenceSession;
  readonly plan: EncoderPlan;
  readonly nodes: NodesByProvider;
}

/** The AudioEncoder port on ONNX Runtime, for one form. Calls queue up; none depends on another. */
export class SoundEncoder implements AudioEncoder {
  readonly provider: ProviderReport;
  readonly #path: string;
  readonly #form: EncoderForm;
  readonly #plan: EncoderPlan;
  #session: InferenceSession | undefined;

  private constructor(path: string, form: EncoderForm, provider: ProviderReport, { session, plan }: Opened) {
    this.#path = path;
    this.#form = form;
    this.provider = provider;
    this.#plan = plan;
    this.#session = session;
  }

  /**
   * Opens a file on the first provider that can run it, and runs it once.
   * @throws FarmError `model_unusable`, `dependency_missing`, `config_invalid` as OnnxModel.open does.
   */
  static async open(path: string, form: EncoderForm, settings: RunSettings): Promise<SoundEncoder> {
    await requireFile(path).catch((cause: Error) => {
      throw new FarmError('model_unusable', `the ${form.role} cannot be read: ${cause.message}`, { cause });
    });
    const open = (provider: string) => openOn(provider, path, form, settings);
    const choice = await openOnFirstProvider(settings.providers, open);
    if (choice.opened === undefined) throw await blame(choice.passedOver, path, form, () => open('cpu'));
    const { provider, passedOver, opened } = choice;
    return new SoundEncoder(path, form, { provider, passedOver, nodes: opened.nodes, outside: undefined }, opened);
  }

  /** @throws FarmError `inference_failed`, `resources_exhausted`. */
  async encode(parts: Float32Array, count: number): Promise<Float32Array> {
    const partFloats = count === 0 ? 0 : parts.length / count;
    const resultFloats = count === 0 ? 0 : this.#form.resultFloats(partFloats);
    const results = new Float32Array(count * resultFloats);
    try {
      for (let part = 0; part < count; part++) {
        if (this.#session === undefined) throw new Error('the encoder has been released');
        const given = parts.subarray(part * partFloats, (part + 1) * partFloats);
        results.set(await runOnce(this.#session, this.#plan, given, resultFloats), part * resultFloats);
      }
    } catch (cause) {
      throw failedRun(`${this.#path} on ${this.provider.provider}, ${count} parts of ${partFloats} floats`, cause);
    }
    return results;
  }

  /** Ends the session. Calling it again does nothing. */
  async release(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.release();
  }
}

/** A FarmError is about the file, other errors are about the provider. */
async function openOn(provider: string, path: string, form: EncoderForm, settings: RunSettings): Promise<Opened> {
  await using probe = provider === 'cpu' ? undefined : await PlacementProbe.start();
  const session = await createSession({ path, threads: settings.threads }, provider, probe, undefined);
  try {
    const plan = form.plan(session.inputMetadata, session.outputMetadata);
    if (typeof plan === 'string') throw unusable(path, form, plan);
    await runOnce(session, plan, new Float32Array(form.trialFloats), form.resultFloats(form.trialFloats)).catch(
      (cause: unknown) => {
        if (cause instanceof WrongResult) throw unusable(path, form, cause.message);
        throw cause;
      },
    );
    const nodes = (await probe?.read(session)) ?? {};
    checkPlacement(provider, nodes);
    return { session, plan, nodes };
  } catch (thrown) {
    await session.release();
    throw thrown;
  }
}

/** A run gave something else than the form does. */
class WrongResult extends Error {}

async function runOnce(
  session: InferenceSession,
  { feeds, output }: EncoderPlan,
  part: Float32Array,
  resultFloats: number,
): Promise<Float32Array> {
  const results = await session.run(feeds(part), [output]);
  const result = results[output];
  const { data, dims = [] } = result ?? {};
  if (!(data instanceof Float32Array) || data.length !== resultFloats) {
    const got = `${output} [${dims.join(', ')}]`;
    throw new WrongResult(`a run of ${part.length} floats gave ${got}, expected ${resultFloats} floats in all`);
  }
  const kept = data.slice();
  freeTensor(result);
  return kept;
}

/** The CPU can run any valid model, so a try there shows whether the file or the provider is at fault. */
async function blame(
  passedOver: readonly PassedOverProvider[],
  path: string,
  form: EncoderForm,
  openOnCpu: () => Promise<Opened>,
): Promise<FarmError> {
  const onCpu = await openOnCpu().catch((thrown: unknown) => FarmError.from(thrown, 'model_unusable'));
  if (onCpu instanceof FarmError) return unusable(path, form, `ONNX Runtime refuses it: ${onCpu.message.trim()}`);
  await onCpu.session.release();
  const tried = passedOver.map(({ provider, reason }) => `${provider}: ${reason}`).join('; ');
  return new FarmError('dependency_missing', `no configured execution provider can run ${path}: ${tried}`);
}

function unusable(path: string, { role, expected }: EncoderForm, reason: string): FarmError {
  return new FarmError('model_unusable', `${path} cannot serve as the ${role}: ${reason}; expected ${expected}`);
}

/** Ports in words, for messages. */
export function describePorts(ports: Ports): string {
  const one = (port: Ports[number]) =>
    port.isTensor ? `${port.name} ${port.type} [${port.shape.join(', ')}]` : `${port.name} (no tensor)`;
  return ports.map(one).join(', ') || 'nothing';
}
