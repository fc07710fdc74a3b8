/** Which of some ONNX files is the lip-sync network and which the audio encoder, told by the tensors that they take. */

import { basename, dirname, relative } from 'node:path';
import { FarmError } from '../../shared/errors/farm-error.ts';
import type { PortShape } from '../../shared/onnx/port-shapes.ts';
import type { AudioKind } from '../../shared/sound/audio-kinds.ts';
import { lipSyncPorts, USUAL_PORTS } from '../../shared/sound/lip-sync-ports.ts';
import { AUDIO_ENCODER_INPUTS } from './audio-encoder.ts';
import { HUBERT_INPUTS, WENET_INPUTS } from './encoder-forms.ts';
import { type NetworkFiles, SEARCHED_LEVELS } from './network-files.ts';
import { InferenceSession } from './onnxruntime.ts';

export interface ExportedNetworks {
  /** Undefined when none fits: `missing` says what there is instead. */
  readonly modelPath: string | undefined;
  /**
   * The encoder of a kind of features; undefined when the files have none: the configuration may name one for all
   * models. What was passed over is among the notes then.
   * @throws FarmError `model_unusable`: several that nothing tells apart.
   */
  readonly encoderFor: (kind: AudioKind) => string | undefined;
  /** Why there is no lip-sync network; empty when there is one. */
  readonly missing: string;
  /** Sentences on what was passed over, and how to choose it all the same. */
  readonly notes: readonly string[];
}

interface Candidate {
  /** From the folder that was searched. */
  readonly name: string;
  readonly path: string;
  /** Empty for a file that ONNX Runtime cannot open. */
  readonly inputs: readonly string[];
  /** By the names or the shapes of its tensors. */
  readonly isLipSync: boolean;
  readonly problem?: string;
}

/** Each is opened to see what it takes; that many are no avatar's. */
const MAX_OPENED = 60;
/** Names that a message lists. */
const LISTED = 6;
/** Input names by which the encoder of each kind is recognised. */
const ENCODER_INPUTS: Readonly<Record<AudioKind, readonly string[]>> = {
  ave: AUDIO_ENCODER_INPUTS,
  hubert: HUBERT_INPUTS,
  wenet: WENET_INPUTS,
};
const LIP_SYNC_INPUTS = [USUAL_PORTS.visual, USUAL_PORTS.audio];
const CONTRACT =
  '"input" float32 [batch, 6, S, S] and "audio" float32 [batch, 32, 16, 16] → "output" [batch, 3, S, S], S = 320 or 160, under these names or others';

/**
 * Finds the two networks. What the caller names is taken as it is; whether shapes fit is for the model's load to check.
 * Of several that fit, the nearest to the folder is taken, in `checkpoint/` before its neighbours; of several in one
 * folder the one with the highest number in its name, and without numbers none.
 * @param named paths that the user gave.
 * @throws FarmError `model_unusable`: several that nothing tells apart; says which option names one.
 */
export async function findNetworks(
  files: NetworkFiles,
  named: { modelPath: string | undefined; audioEncoderPath: string | undefined },
): Promise<ExportedNetworks> {
  const search = named.modelPath === undefined || named.audioEncoderPath === undefined;
  const candidates: Candidate[] = [];
  for (const path of search ? files.onnxPaths.slice(0, MAX_OPENED) : []) {
    candidates.push(await inspect(path, relative(files.folder, path)));
  }
  const notes: string[] = [];
  const pick = (wanted: readonly string[], option: string): string | undefined => {
    const fitting = candidates.filter(({ inputs, isLipSync }) =>
      wanted === LIP_SYNC_INPUTS ? isLipSync : wanted.every((name) => inputs.includes(name)),
    );
    const chosen = choose(fitting, wanted, option);
    const others = fitting.filter((candidate) => candidate !== chosen);
    if (chosen && others.length > 0) {
      const why = fitting.every(({ path }) => dirname(path) === dirname(chosen.path))
        ? 'the highest number'
        : 'the nearest';
      notes.push(
        `${chosen.name} is taken, ${why}, not ${listed(others.map(({ name }) => name))}: ${option} names another`,
      );
    }
    return chosen?.path;
  };
  const modelPath = named.modelPath ?? pick(LIP_SYNC_INPUTS, '--model');
  const missing = modelPath === undefined ? whyNone(files, candidates) : '';
  const encoderFor = (kind: AudioKind) => named.audioEncoderPath ?? pick(ENCODER_INPUTS[kind], '--audio-encoder');
  notes.push(...candidates.flatMap(({ problem }) => (problem ? [`passed over ${problem}`] : [])));
  const unopened = search ? files.onnxPaths.length - candidates.length : 0;
  if (unopened > 0) notes.push(`${unopened} more ONNX files were not looked into`);
  return { modelPath, encoderFor, missing, notes };
}

/** The first folder's, and in it the highest number's. */
function choose(fitting: readonly Candidate[], wanted: readonly string[], option: string): Candidate | undefined {
  const [first] = fitting;
  if (first === undefined) return undefined;
  const nearest = fitting.filter(({ path }) => dirname(path) === dirname(first.path));
  const [best = first, second] = nearest.toSorted((a, b) => numberIn(b.name) - numberIn(a.name));
  if (second === undefined || numberIn(best.name) > numberIn(second.name)) return best;
  const names = listed(nearest.map(({ name }) => name));
  throw new FarmError('model_unusable', `${names} all take ${wanted.join(' and ')}: name one with ${option}`);
}

/** The last number in a file's name, as in `195.onnx` or `unet_epoch_195.onnx`; −1 without one. */
function numberIn(name: string): number {
  const digits = /(\d+)\D*$/.exec(basename(name, '.onnx'))?.[1];
  return digits === undefined ? -1 : Number(digits);
}

function whyNone({ folder, checkpointPaths }: NetworkFiles, candidates: readonly Candidate[]): string {
  const found = candidates.map(({ name, inputs, problem }) => problem ?? `${name}, which takes ${inputs.join(', ')}`);
  const checkpoints = checkpointPaths.map((path) => relative(folder, path));
  return [
    `no lip-sync network: looked in ${folder} and its sub-folders, ${SEARCHED_LEVELS} levels deep, for an ONNX file that takes ${LIP_SYNC_INPUTS.join(' and ')}, or a checkpoint of PyTorch`,
    found.length > 0 ? `found ${listed(found, '; ')}` : 'found no ONNX file',
    ...(checkpoints.length > 0 ? [`found ${listed(checkpoints)}, which by name is no lip-sync network`] : []),
    `name its checkpoint with --checkpoint, or its ONNX file (${CONTRACT}) with --model`,
  ].join('; ');
}

async function inspect(path: string, name: string): Promise<Candidate> {
  try {
    const session = await InferenceSession.create(path, { graphOptimizationLevel: 'disabled', logSeverityLevel: 4 });
    const { inputNames, inputMetadata, outputMetadata } = session;
    await session.release();
    const isLipSync = lipSyncPorts(shapesOf(inputMetadata), shapesOf(outputMetadata)) !== undefined;
    return { name, path, inputs: inputNames, isLipSync };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.trim() : String(cause);
    return { name, path, inputs: [], isLipSync: false, problem: `${name}, which ONNX Runtime cannot open (${reason})` };
  }
}

function shapesOf(ports: readonly InferenceSession.ValueMetadata[]): PortShape[] {
  return ports.map((port) => ({ name: port.name, dims: port.isTensor ? port.shape : undefined }));
}

function listed(names: readonly string[], between = ', '): string {
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  return `${names.slice(0, LISTED).join(between)}${more}`;
}
