import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type Document, isMap, parseDocument } from 'yaml';
import { LocalArtifacts } from '../artifacts.ts';
import { FarmError } from '../errors.ts';
import { indentOf, insertEntry } from './insert-entry.ts';
import { type Config, type ConfigEnvironment, loadConfig } from './load.ts';

/** Adding an entry of `models:` to a configuration file, which stays its owner's: comments, order and all other keys. */

/** Files of a model, as absolute paths. */
export interface NewModel {
  readonly modelId: string;
  readonly modelPath: string;
  readonly backgroundDir: string;
  readonly cropRectsPath: string;
  /** Undefined: the one that the configuration names for all models. */
  readonly audioEncoderPath: string | undefined;
}

export interface AddModelOptions {
  /** Need not exist. */
  readonly configPath: string;
  readonly model: NewModel;
  /** Whether an entry of this id may be there already; its other keys are kept. */
  readonly replace: boolean;
  readonly environment: ConfigEnvironment;
}

/**
 * Writes the entry. The new file takes the place of the old one only after `check` has seen it loaded and resolved:
 * until then, and when anything fails, the old one is untouched.
 * @throws FarmError `model_exists`; `config_invalid` when the file is wrong, before or after, or was changed meanwhile;
 * what `check` throws.
 */
export async function addModel<T>(options: AddModelOptions, check: (config: Config) => Promise<T>): Promise<T> {
  const { model, replace, environment } = options;
  const configPath = path.resolve(options.configPath);
  const present = await stat(configPath).catch(() => undefined);
  if (present) loadConfig(configPath, environment);
  const text = present ? await readFile(configPath, 'utf8') : '';
  const document = parseDocument(text);
  if (document.hasIn(['models', model.modelId]) && !replace) {
    throw new FarmError('model_exists', `${configPath} has a model "${model.modelId}" already`);
  }
  const changed = withEntry(text, model.modelId, entryOf(model, document, path.dirname(configPath)));
  const store = new LocalArtifacts(path.dirname(configPath));
  return await store.publish(path.basename(configPath), async (draft) => {
    await writeFile(draft, changed, present && { mode: present.mode });
    const result = await check(loadConfig(draft, environment));
    if (present && (await readFile(configPath, 'utf8')) !== text) {
      throw new FarmError(
        'config_invalid',
        `${configPath} was changed by somebody else meanwhile: nothing was written`,
      );
    }
    return result;
  });
}

/** Whether the file would refuse a model of this id, known before any work is done for it. */
export function hasModel(configPath: string, modelId: string, environment: ConfigEnvironment): Promise<boolean> {
  return readFile(configPath, 'utf8').then(
    (text) => {
      loadConfig(configPath, environment);
      return parseDocument(text).hasIn(['models', modelId]);
    },
    () => false,
  );
}

/** The values of the new entry: paths from models_root where the files lie under it, else absolute ones. */
function entryOf(model: NewModel, document: Document, configDir: string): Record<string, string> {
  const written = document.get('models_root');
  const root = path.resolve(configDir, typeof written === 'string' ? written : '');
  const { modelPath, audioEncoderPath, backgroundDir, cropRectsPath } = model;
  return {
    model_path: relativeWithin(root, modelPath),
    ...(audioEncoderPath === undefined ? {} : { audio_encoder_path: relativeWithin(root, audioEncoderPath) }),
    background_dir: relativeWithin(root, backgroundDir),
    crop_rects_path: relativeWithin(root, cropRectsPath),
  };
}

function relativeWithin(root: string, file: string): string {
  const relative = path.relative(root, file);
  const outside = relative === '..' || relative.startsWith(`..${path.sep}`) || path.isAbsolute(relative);
  return outside ? file : relative.replaceAll(path.sep, '/') || '.';
}

/** The file with the entry: some lines more where that gives what is meant, else the whole document written anew. */
function withEntry(text: string, modelId: string, entry: Record<string, string>): string {
  const document = parseDocument(text);
  // "models:" alone is null, which takes no entries.
  if (!isMap(document.get('models', true))) document.set('models', document.createNode({}));
  for (const [key, value] of Object.entries(entry)) document.setIn(['models', modelId, key], value);
  const longer = insertEntry(text, 'models', modelId, entry);
  if (longer !== undefined && means(longer, document)) return longer;
  const indent = indentOf(text).length;
  return document.toString({ lineWidth: 0, indent, flowCollectionPadding: /[[{] \S/.test(text) });
}

function means(text: string, wanted: Document): boolean {
  const document = parseDocument(text);
  return document.errors.length === 0 && isDeepStrictEqual(document.toJS(), wanted.toJS());
}
