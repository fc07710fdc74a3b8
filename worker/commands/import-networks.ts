/** The networks of an avatar that is imported: exported ones as they are, or what is made of the training's checkpoints. */

import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { LocalArtifacts } from '../../shared/artifacts/local-artifacts.ts';
import { FarmError } from '../../shared/errors/farm-error.ts';
import { ifMissing, ignored } from '../../shared/process/unheard.ts';
import type { AudioKind } from '../../shared/sound/audio-kinds.ts';
import { hearingOfFile } from '../../shared/sound/hearing-of-file.ts';
import { type ConvertedCheckpoint, convertCheckpoint } from '../checkpoints/convert-checkpoint.ts';
import { describeLayout } from '../checkpoints/trained-network.ts';
import { findNetworks } from '../onnx/exported-networks.ts';
import {
  CHECKPOINT,
  encoderCheckpoints,
  findNetworkFiles,
  type NetworkFiles,
  newestCheckpoint,
} from '../onnx/network-files.ts';
import type { ImportOptions } from './import-options.ts';

/** A network that a checkpoint gave, to be written when everything has been tried. */
export interface NewNetwork {
  /** In the folder where the import puts what it makes. */
  readonly name: string;
  readonly path: string;
  readonly bytes: Uint8Array;
  /** For the user: of which checkpoint, and what it is. */
  readonly words: string;
}

export interface ImportNetworks {
  /** Of a `NewNetwork`, or of a file that is there. */
  readonly modelPath: string;
  readonly audioEncoderPath: string | undefined;
  readonly hears: AudioKind;
  /** What it hears, where its file leaves that open. */
  readonly audioFeatures: AudioKind | undefined;
  readonly made: readonly NewNetwork[];
  readonly notes: readonly string[];
}

/** Which features preprocessing left in the dataset folder: what the network was trained with. */
const FEATURE_FILES: Readonly<Record<string, AudioKind>> = {
  'aud_ave.npy': 'ave',
  'aud_hu.npy': 'hubert',
  'aud_hubert.npy': 'hubert',
  'aud_wenet.npy': 'wenet',
};

/**
 * A checkpoint that is named is taken; without one an exported network, and where there is none the newest checkpoint.
 * Reads files and writes none.
 * @throws FarmError `model_unusable`: none that fits, says what there is; `input_unreadable`, `checkpoint_unreadable`.
 */
export async function findImportNetworks(options: ImportOptions): Promise<ImportNetworks> {
  const files = await findNetworkFiles(options.folder);
  const named = await namedCheckpoint(files, options);
  const exported = await findNetworks(files, { ...options, modelPath: named?.path ?? options.modelPath });
  const newest = await newestCheckpoint(files);
  const chosen = named ?? (exported.modelPath === undefined ? newest : undefined);
  const notes = [...exported.notes];
  const made: NewNetwork[] = [];
  let { modelPath } = exported;
  let hearing: NetworkHearing | undefined;
  if (chosen !== undefined) {
    const network = await lipSyncNetwork(chosen, files.folder, options, notes);
    made.push(network);
    modelPath = network.path;
    hearing = { kind: network.kind, named: false };
  } else if (newest !== undefined && options.modelPath === undefined) {
    const names = [modelPath ?? '', newest.path].map((file) => path.relative(files.folder, file));
    notes.push(`${names[0]} is taken, not ${names[1]}: --checkpoint names a checkpoint`);
  }
  if (modelPath === undefined) throw new FarmError('model_unusable', exported.missing);
  hearing ??= await hearingOfExport(modelPath, options.audio);
  const exportedEncoder = exported.encoderFor(hearing.kind);
  if (hearing.kind !== 'ave' && exportedEncoder === undefined) throw withoutEncoder(modelPath, hearing.kind);
  const encoder = hearing.kind === 'ave' ? await audioEncoder(files, exportedEncoder, options, notes) : undefined;
  if (encoder !== undefined) made.push(encoder);
  const audioFeatures = hearing.named ? hearing.kind : undefined;
  notes.push(...exported.notes.filter((note) => !notes.includes(note)));
  return {
    modelPath,
    audioEncoderPath: encoder?.path ?? exportedEncoder,
    audioFeatures,
    hears: hearing.kind,
    made,
    notes,
  };
}

/** A network of another name or content is somebody's. @throws FarmError `model_exists` */
export async function keepOtherNetworks(networks: readonly NewNetwork[]): Promise<void> {
  for (const network of networks) {
    const there = await readFile(network.path).catch(ifMissing());
    if (there === undefined || there.equals(network.bytes)) continue;
    throw new FarmError('model_exists', `${network.path} is another network: --out names another folder`);
  }
}

/**
 * Writes networks as drafts, which appear under their names when `use` is done, or go again.
 * @param use gets where each draft is, by the path that the network will have.
 */
export async function publishNetworks(
  output: LocalArtifacts,
  [first, ...rest]: readonly NewNetwork[],
  use: (drafts: ReadonlyMap<string, string>) => Promise<void>,
): Promise<void> {
  if (first === undefined) return await use(new Map());
  await output.publish(first.name, async (draft) => {
    await writeFile(draft, first.bytes);
    await publishNetworks(output, rest, async (drafts) => await use(new Map([...drafts, [first.path, draft]])));
  });
}

interface ChosenCheckpoint {
  readonly path: string;
  /** Why this one: "the highest number of 3". */
  readonly why: string;
}

/** By --checkpoint a file, a folder of them, or the name of one that is in the dataset; by --model a file. */
async function namedCheckpoint(files: NetworkFiles, options: ImportOptions): Promise<ChosenCheckpoint | undefined> {
  const { modelPath, checkpoint } = options;
  if (checkpoint === undefined) {
    return modelPath !== undefined && CHECKPOINT.test(modelPath) ? { path: modelPath, why: 'as named' } : undefined;
  }
  const file = path.resolve(checkpoint);
  const facts = await stat(file).catch(ignored('what is no path may be a name', undefined));
  if (facts?.isDirectory()) {
    const newest = await newestCheckpoint(await findNetworkFiles(file));
    if (newest !== undefined) return newest;
    throw new FarmError('model_unusable', `${file} has no checkpoint of a lip-sync network`);
  }
  const byName = files.checkpointPaths.find((one) => {
    const { base, name } = path.parse(one);
    return [path.relative(files.folder, one), base, name].includes(checkpoint);
  });
  return { path: facts === undefined && byName !== undefined ? byName : file, why: 'as named' };
}

async function lipSyncNetwork(
  { path: file, why }: ChosenCheckpoint,
  folder: string,
  options: ImportOptions,
  notes: string[],
): Promise<NewNetwork & { readonly kind: AudioKind }> {
  const likely = await trainedWith(options.folder);
  const converted = await convertCheckpoint(file, { hears: options.audio, likely });
  const { layout } = converted;
  if (layout.role !== 'lip-sync network') {
    throw new FarmError('model_unusable', `${file} is an ${layout.role}: --audio-encoder names it`);
  }
  const name = relativeName(folder, file);
  const { kind } = layout.audio;
  if (options.audio === undefined && likely === undefined && layout.mayHear.length > 1) {
    const others = layout.mayHear.filter((other) => other !== kind);
    notes.push(`${name} is taken to hear ${kind}; its weights fit ${others.join()} as well: --audio says which`);
  }
  return { ...newNetwork(converted, options, `${name}, ${why}`), kind };
}

interface NetworkHearing {
  readonly kind: AudioKind;
  /** By the user, since the file leaves it open. */
  readonly named: boolean;
}

/** @throws FarmError `model_unusable`: it takes no features that are known, or `wanted` are not what it takes. */
async function hearingOfExport(modelPath: string, wanted: AudioKind | undefined): Promise<NetworkHearing> {
  const { kind } = await hearingOfFile(modelPath, { kind: wanted });
  if (wanted === undefined) return { kind, named: false };
  const isOpen = await hearingOfFile(modelPath, {}).then(
    () => false,
    () => true,
  );
  return { kind, named: isOpen };
}

function withoutEncoder(modelPath: string, kind: AudioKind): FarmError {
  return new FarmError(
    'model_unusable',
    `${modelPath} hears ${kind}, and no ONNX file here is an encoder of that: name it with --audio-encoder; docs/avatars.md says how to get one`,
  );
}

/** One that is named, or that lies in the dataset where no exported encoder does. */
async function audioEncoder(
  files: NetworkFiles,
  exported: string | undefined,
  options: ImportOptions,
  notes: string[],
): Promise<NewNetwork | undefined> {
  const named = exported !== undefined && CHECKPOINT.test(exported) ? exported : undefined;
  if (named !== undefined) return await encoderOf(named, files.folder, options);
  for (const file of exported === undefined ? encoderCheckpoints(files) : []) {
    try {
      return await encoderOf(file, files.folder, options);
    } catch (error) {
      if (!(error instanceof FarmError)) throw error;
      notes.push(`passed over ${relativeName(files.folder, file)}: ${error.message}`);
    }
  }
  return undefined;
}

async function encoderOf(file: string, folder: string, options: ImportOptions): Promise<NewNetwork> {
  const converted = await convertCheckpoint(file);
  if (converted.layout.role === 'audio encoder') return newNetwork(converted, options, relativeName(folder, file));
  throw new FarmError('model_unusable', `${file} is a ${converted.layout.role}, no audio encoder`);
}

function newNetwork({ path: file, layout, bytes }: ConvertedCheckpoint, { outDir }: ImportOptions, which: string) {
  const name = `${path.basename(file)}.onnx`;
  return { name, path: path.join(outDir, name), bytes, words: `${which}: ${describeLayout(layout)} → ${name}` };
}

/** What the features in the dataset folder say; undefined when they are of several kinds, or none. */
async function trainedWith(folder: string): Promise<AudioKind | undefined> {
  const names = await readdir(folder).catch(ignored<string[]>('what cannot be read says nothing', []));
  const kinds = new Set(names.flatMap((name) => FEATURE_FILES[name] ?? []));
  return kinds.size === 1 ? [...kinds][0] : undefined;
}

function relativeName(folder: string, file: string): string {
  const name = path.relative(folder, file);
  return name.startsWith('..') ? file : name;
}
