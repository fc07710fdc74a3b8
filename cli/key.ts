import path from 'node:path';
import { stringify } from 'yaml';
import { type ApiKey, hashApiKey, newApiKey, ROLES, type Role } from '../shared/api-keys.ts';
import { addKey, type NewKey } from '../shared/config/add-key.ts';
import { loadConfig } from '../shared/config/load.ts';
import { readEnvironment } from '../shared/process/environment.ts';
import { GB } from '../shared/units.ts';
import { printJson } from './json-output.ts';
import type { JsonOption } from './options.ts';

export interface NewKeyOptions {
  readonly name: string;
  readonly role: Role;
  readonly requestsPerMinute?: number;
  readonly maxUnfinishedRenders?: number;
  readonly maxStreams?: number;
  readonly config?: string;
  readonly write?: boolean;
  readonly json?: boolean;
}

/**
 * `farm key new`: makes a key and prints it, alone on standard output. What is kept is the entry with its hash, which
 * is written to the configuration or shown. FarmError: key_exists, config_invalid.
 */
export async function newKey(options: NewKeyOptions): Promise<void> {
  const { name, role, requestsPerMinute, maxUnfinishedRenders, maxStreams } = options;
  const key = newApiKey();
  const limits = {
    requests_per_minute: requestsPerMinute,
    max_unfinished_renders: maxUnfinishedRenders,
    max_streams: maxStreams,
  };
  const given = Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit !== undefined));
  const entry: NewKey = { name, sha256: hashApiKey(key), role, ...given };
  const environment = readEnvironment();
  const configPath = path.resolve(options.config ?? environment.configPath ?? 'config.yaml');
  if (options.write) await addKey({ configPath, environment }, entry);
  if (options.json) return printJson({ key, entry, config: configPath, written: options.write ?? false });
  const where = options.write
    ? `Its entry is in ${configPath}; a running farm lets it in at once.`
    : `Put its entry into ${configPath}; a running farm lets it in at once:\n\n${stringify({ auth: { keys: [entry] } })}`;
  process.stderr.write(`A key with the role "${role}" for "${name}", shown this once:\n\n`);
  process.stdout.write(`${key}\n`);
  process.stderr.write(
    `\n${where}\nFrom then on every request needs a key: Authorization: Bearer <key>, or FARM_API_KEY for commands.\n`,
  );
}

/** Its limits are named as in the configuration; 0: as much as the farm has. */
function viewOf({ name, role, plain, limits }: ApiKey): object {
  return {
    name,
    role,
    plain,
    requests_per_minute: limits.requestsPerMinute,
    max_unfinished_renders: limits.unfinishedRenders,
    max_unfinished_frames: limits.unfinishedFrames,
    max_streams: limits.streams,
    max_stored_gb: limits.storedBytes / GB,
  };
}

/** `farm key list`: a line for each key of the configuration. */
export function listKeys({ config: configPath, json }: { config?: string } & JsonOption): void {
  const { auth, sourcePath } = loadConfig(configPath);
  if (json) {
    printJson({ source: sourcePath ?? null, keys: auth.keys.map(viewOf) });
    return;
  }
  const width = Math.max(...auth.keys.map(({ name }) => name.length));
  const lines = auth.keys.map(({ name, role, plain, limits }) => {
    const parts = [
      limits.requestsPerMinute > 0 ? `${limits.requestsPerMinute} requests a minute` : '',
      limits.unfinishedRenders > 0 ? `${limits.unfinishedRenders} unfinished renders` : '',
      limits.storedBytes > 0 ? `${limits.storedBytes / GB} GB stored` : '',
      limits.unfinishedFrames > 0 ? `${limits.unfinishedFrames} unfinished frames` : '',
      limits.streams > 0 ? `${limits.streams} streams` : '',
      plain ? 'written in plain in auth.api_keys' : '',
    ].filter((part) => part !== '');
    return `${name.padEnd(width)}  ${role.padEnd(LONGEST_ROLE)}  ${parts.join(', ')}`.trimEnd();
  });
  const none = `${sourcePath ?? 'The built-in configuration'} has no keys: everybody who reaches the farm may use it`;
  process.stdout.write(`${lines.join('\n') || none}\n`);
}

const LONGEST_ROLE = Math.max(...ROLES.map((role) => role.length));
