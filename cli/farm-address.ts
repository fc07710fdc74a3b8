import { NodeFarmClient } from '../client/node/farm-client.ts';
import { type Config, loadConfig, readPlainKey } from '../shared/config/load.ts';
import { FarmError } from '../shared/errors/farm-error.ts';
import { readFarmAddress } from '../shared/process/environment.ts';

/** Which farm a command speaks to. */
export interface FarmOptions {
  readonly url?: string;
  readonly apiKey?: string;
  readonly config?: string;
}

/** Where clients on this machine reach the farm's front end. */
export function httpUrl({ http: { host, port } }: Pick<Config, 'http'>): string {
  if (host === '0.0.0.0') return `http://127.0.0.1:${port}`;
  if (host === '::') return `http://[::1]:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * The farm that is meant: by --url, else by FARM_URL, else the one of the configuration (--config, FARM_CONFIG,
 * config.yaml here, the defaults). The key: --api-key, else FARM_API_KEY, else the first of `auth.api_keys` in the
 * configuration, which only its own farm is told. FarmError: url_invalid, config_invalid; unauthorised when the
 * configuration has hashes of keys only, and no key was given.
 */
export function openFarm({ url, apiKey, config: configPath }: FarmOptions): NodeFarmClient {
  const environment = readFarmAddress();
  const key = apiKey ?? environment.apiKey;
  const named = url ?? environment.url;
  if (named !== undefined) return new NodeFarmClient(named, key);
  const config = loadConfig(configPath);
  return new NodeFarmClient(httpUrl(config), key ?? keyOf(config, configPath));
}

function keyOf({ auth, sourcePath }: Config, configPath: string | undefined): string | undefined {
  const key = readPlainKey(configPath);
  if (key !== undefined || auth.keys.length === 0) return key;
  throw new FarmError(
    'unauthorised',
    `${sourcePath ?? 'The environment'} has its API keys as hashes, which cannot be sent: give one with --api-key or in FARM_API_KEY`,
  );
}
