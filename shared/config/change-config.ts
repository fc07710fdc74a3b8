import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Document, isAlias } from 'yaml';
import { LocalArtifacts } from '../artifacts/local-artifacts.ts';
import { FarmError } from '../errors/farm-error.ts';
import { decodeText, encodeText, NEW_TEXT_FORM } from '../files/text-file.ts';
import { ifMissing } from '../process/unheard.ts';
import { indentOf, lineEndOf } from './insert-entry.ts';
import { type Config, type ConfigEnvironment, loadConfig } from './load.ts';

/** Changes a configuration file as a careful user would: comments, order and all other keys stay. */

export interface ConfigFile {
  /** Need not exist. */
  readonly configPath: string;
  readonly environment: ConfigEnvironment;
}

/**
 * Writes what `change` makes of the text of the file. The new file replaces the old one only after it was loaded and
 * `check` has accepted it; until then, and when anything fails, the old file is untouched. `check` can test whether the
 * file was changed meanwhile, as its last step before it publishes files of its own.
 * @throws FarmError `config_invalid` when the file is wrong, before or after, or was changed meanwhile; what `change` and
 * `check` throw.
 */
export async function changeConfig<T>(
  { configPath: given, environment }: ConfigFile,
  change: (text: string, configPath: string) => string,
  check: (config: Config, refuseIfChanged: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const configPath = path.resolve(given);
  const present = await stat(configPath).catch(ifMissing());
  if (present) loadConfig(configPath, environment);
  const file = present ? await readFile(configPath) : undefined;
  const { text, ...form } = file ? decodeText(file, configPath, 'config_invalid') : { text: '', ...NEW_TEXT_FORM };
  const changed = change(text, configPath);
  const store = new LocalArtifacts(path.dirname(configPath));
  return await store.publish(path.basename(configPath), async (draft) => {
    await writeFile(draft, encodeText(changed, form), present && { mode: present.mode });
    const refuseIfChanged = async () => {
      if (!file || (await readFile(configPath)).equals(file)) return;
      throw new FarmError(
        'config_invalid',
        `${configPath} was changed meanwhile, by another program: nothing was written`,
      );
    };
    const result = await check(loadConfig(draft, environment), refuseIfChanged);
    await refuseIfChanged();
    return result;
  });
}

/** FarmError('config_invalid') when what is to be added to stands for something that is written elsewhere. */
export function refuseAlias(document: Document, keys: readonly string[], configPath: string): void {
  if (!isAlias(document.getIn(keys, true))) return;
  throw new FarmError(
    'config_invalid',
    `${keys.join('.')} in ${configPath} is an alias, which cannot be added to: write out what it stands for first`,
  );
}

/** The whole document written anew, in the form that `text`, from which it was read, had. */
export function rewritten(document: Document, text: string): string {
  const options = { lineWidth: 0, indent: indentOf(text).length, flowCollectionPadding: /[[{] \S/.test(text) };
  return document.toString(options).replaceAll('\n', lineEndOf(text));
}
