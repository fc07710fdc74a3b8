import { isMap, isSeq } from 'yaml';
import { FarmError } from '../errors/farm-error.ts';
import { type ConfigFile, changeConfig, refuseAlias, rewritten } from './change-config.ts';
import { parseConfigDocument } from './document.ts';
import type { KeyEntry } from './schema.ts';

/** An entry of `auth.keys` as it is written: limits that are not there are 0. */
export type NewKey = Pick<KeyEntry, 'name' | 'sha256' | 'role'> & Partial<KeyEntry>;

/**
 * Adds an entry to `auth.keys` of a configuration file. A running farm sees it within a second.
 * @throws FarmError `key_exists`, and those of `changeConfig`.
 */
export async function addKey(file: ConfigFile, key: NewKey): Promise<void> {
  await changeConfig(
    file,
    (text, configPath) => withKey(text, key, configPath),
    async () => {},
  );
}

function withKey(text: string, key: NewKey, configPath: string): string {
  const document = parseConfigDocument(text);
  const place = ['auth', 'keys'];
  for (const keys of [['auth'], place]) refuseAlias(document, keys, configPath);
  // A section or list without a value is null, which takes no entries.
  if (!isMap(document.get('auth', true))) document.set('auth', document.createNode({}));
  if (!isSeq(document.getIn(place, true))) document.setIn(place, document.createNode([]));
  const list = document.getIn(place, true);
  if (!isSeq(list)) throw new FarmError('config_invalid', `auth.keys in ${configPath} is no list`);
  const names = list.items.map((item) => (isMap(item) ? item.get('name') : undefined));
  if (names.includes(key.name)) throw new FarmError('key_exists', `${configPath} has a key "${key.name}" already`);
  if (list.items.length === 0) list.flow = false;
  list.add(document.createNode(key));
  return rewritten(document, text);
}
