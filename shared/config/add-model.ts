import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Document, isMap } from 'yaml';
import { FarmError } from '../errors/farm-error.ts';
import { decodeText } from '../files/text-file.ts';
import { ifMissing } from '../process/unheard.ts';
import type { AudioKind } from '../sound/audio-kinds.ts';
import { type ConfigFile, changeConfig, refuseAlias, rewritten } from './change-config.ts';
import { parseConfigDocument, readConfigValues } from './document.ts';
import { insertEntry } from './insert-entry.ts';
import { type Config, type ConfigEnvironment, loadConfig } from './load.ts';

/** Adds an entry to `models:` in a configuration file, and keeps its comments, its order and all other keys. */

/** Files of a model, as absolute paths. */
export interface NewModel {
  readonly modelId: string;
  readonly modelPath: string;
  readonly backgroundDir: string;
  readonly cropRectsPath: string;
  /** Undefined: the one that the configuration names for all models. */
  readonly audioEncoderPath: string | undefined;
  /** What its network hears, where its file leaves that open. */
  readonly audioFeatures?: AudioKind | undefined;
  /** Undefined: none, and a key that is there stays; "": none, whatever is there. */
  readonly masksDir?: string | undefined;
}

export interface AddModelOptions extends ConfigFile {
  readonly model: NewModel;
  /** Whether an entry of this id may be there already; its other keys are kept. */
  readonly replace: boolean;
}

/**
 * Writes the entry, with `changeConfig`, which says what `check` is and when it is called.
 * @throws FarmError `model_exists`, and those of `changeConfig`.
 */
export async function addModel<T>(
  options: AddModelOptions,
  check: (config: Config, refuseIfChanged: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const { model, replace } = options;
  const change = (text: string, configPath: string) => {
    if (namesModel(text, model.modelId, configPath) && !replace) {
      throw new FarmError('model_exists', `${configPath} has a model "${model.modelId}" already`);
    }
    return withEntry(text, model, configPath);
  };
  return await changeConfig(options, change, check);
}

/** Whether the file would refuse a model of this id: to be asked before any work is done for it. */
export async function hasModel(configPath: string, modelId: string, environment: ConfigEnvironment): Promise<boolean> {
  const present = await stat(configPath).catch(ifMissing());
  if (!present) return false;
  loadConfig(configPath, environment);
  return namesModel(decodeText(await readFile(configPath), configPath, 'config_invalid').text, modelId, configPath);
}

/** Whether `models:` has the id, itself or through a merge key. */
function namesModel(text: string, modelId: string, configPath: string): boolean {
  const { models } = readConfigValues(text, configPath);
  return typeof models === 'object' && models !== null && Object.hasOwn(models, modelId);
}

function modelsRoot(text: string, configPath: string): string {
  const { models_root } = readConfigValues(text, configPath);
  return typeof models_root === 'string' ? models_root : '';
}

/** The values of the new entry: paths from models_root where the files lie under it, else absolute ones. */
function entryOf(model: NewModel, root: string): Record<string, string> {
  const { modelPath, audioEncoderPath, audioFeatures, backgroundDir, cropRectsPath, masksDir } = model;
  return {
    model_path: relativeWithin(root, modelPath),
    ...(audioEncoderPath === undefined ? {} : { audio_encoder_path: relativeWithin(root, audioEncoderPath) }),
    ...(audioFeatures === undefined ? {} : { audio_features: audioFeatures }),
    background_dir: relativeWithin(root, backgroundDir),
    crop_rects_path: relativeWithin(root, cropRectsPath),
    ...(masksDir === undefined ? {} : { masks_dir: masksDir && relativeWithin(root, masksDir) }),
  };
}

function relativeWithin(root: string, file: string): string {
  const relative = path.relative(root, file);
  const outside = relative === '..' || relative.startsWith(`..${path.sep}`) || path.isAbsolute(relative);
  return outside ? file : relative.replaceAll(path.sep, '/') || '.';
}

/**
 * The file with the entry: with a few lines inserted where that is possible, else with the whole document rewritten.
 */
function withEntry(text: string, model: NewModel, configPath: string): string {
  const { modelId } = model;
  const document = parseConfigDocument(text);
  const entry = entryOf(model, path.resolve(path.dirname(configPath), modelsRoot(text, configPath)));
  for (const keys of [['models'], ['models', modelId]]) refuseAlias(document, keys, configPath);
  // "models:" alone is null, which takes no entries.
  if (!isMap(document.get('models', true))) document.set('models', document.createNode({}));
  for (const [key, value] of Object.entries(entry)) document.setIn(['models', modelId, key], value);
  const longer = insertEntry(text, 'models', modelId, entry);
  if (longer !== undefined && means(longer, document)) return longer;
  return rewritten(document, text);
}

function means(text: string, wanted: Document): boolean {
  const document = parseConfigDocument(text);
  return document.errors.length === 0 && isDeepStrictEqual(document.toJS(), wanted.toJS());
}
