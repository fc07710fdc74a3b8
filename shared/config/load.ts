import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ApiKey } from '../api-keys.ts';
import { FarmError } from '../errors/farm-error.ts';
import { decodeText } from '../files/text-file.ts';
import { type Environment, readAwsSecrets, readEnvironment } from '../process/environment.ts';
import { readGuidedAddress } from '../redis/address.ts';
import { noteSecrets } from '../secrets.ts';
import { apiKeysOf } from './auth-keys.ts';
import { readConfigValues } from './document.ts';
import { explainIssues } from './explain.ts';
import { HOST_LABEL } from './host-section.ts';
import { type ModelConfig, resolveModel } from './model-config.ts';
import { applyOverrides } from './overrides.ts';
import { type ConfigValues, configSchema } from './schema.ts';

/** The parsed configuration: the file's own keys, with paths and models resolved beside them. */
export interface Config extends Omit<ConfigValues, 'auth' | 'models' | 'models_root'> {
  /** Absolute path of the file that was read, or undefined when there are only the defaults. */
  readonly sourcePath: string | undefined;
  /** Absolute path of storage.root. */
  readonly storageRoot: string;
  /** Absolute path of the folder of prepared pictures. */
  readonly preparedDir: string;
  /** Absolute path of the folder of models that were fetched. */
  readonly modelCacheDir: string;
  readonly models: ReadonlyMap<string, ModelConfig>;
  /** Keys of both kinds, as hashes only. */
  readonly auth: Omit<ConfigValues['auth'], 'api_keys' | 'keys'> & { readonly keys: readonly ApiKey[] };
}

/** The part of the environment that sets configuration. */
export type ConfigEnvironment = Pick<Environment, 'redisUrl' | 'configPath' | 'hostName' | 'overrides'>;

const REPO_ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** Where `node avatars/demo/build.ts` puts the demo avatar. */
export const DEMO_AVATAR_DIR = path.join(REPO_ROOT, 'avatars/demo/build');
export const DEMO_MODEL_ID = 'demo';

/** Used when the configuration names no models: the avatar that the project builds itself. */
const DEMO_MODELS = {
  [DEMO_MODEL_ID]: {
    model_path: path.join(DEMO_AVATAR_DIR, 'generator.onnx'),
    audio_encoder_path: path.join(DEMO_AVATAR_DIR, 'audio_encoder.onnx'),
    background_dir: path.join(DEMO_AVATAR_DIR, 'frames'),
    crop_rects_path: path.join(DEMO_AVATAR_DIR, 'crop_rects.json'),
  },
};

/**
 * Reads config.yaml (`configPath`, or FARM_CONFIG, or ./config.yaml when it is there, else the defaults), lays the
 * environment over it and checks every key. Throws FarmError('config_invalid') that lists all that is wrong at once.
 */
export function loadConfig(configPath?: string, environment: ConfigEnvironment = readEnvironment()): Config {
  const { values, sourcePath } = readValues(configPath, environment);
  return resolveConfig(parseValues(values, sourcePath), sourcePath, environment);
}

/**
 * The first of `auth.api_keys`, for commands of whoever may read the configuration; undefined when it has only hashes,
 * or no keys. FarmError('config_invalid') as `loadConfig`.
 */
export function readPlainKey(
  configPath?: string,
  environment: ConfigEnvironment = readEnvironment(),
): string | undefined {
  const { values, sourcePath } = readValues(configPath, environment);
  return parseValues(values, sourcePath).auth.api_keys[0];
}

/** What the file and the environment say, unchecked. */
function readValues(
  configPath: string | undefined,
  environment: ConfigEnvironment,
): { values: Record<string, unknown>; sourcePath: string | undefined } {
  const asked = configPath ?? environment.configPath;
  if (asked && !existsSync(asked)) {
    throw new FarmError('config_invalid', `The configuration file ${path.resolve(asked)} does not exist`);
  }
  const found = asked ?? (existsSync('config.yaml') ? 'config.yaml' : undefined);
  const sourcePath = found && path.resolve(found);
  if (sourcePath) refuseUnreadable(sourcePath);
  const values = sourcePath ? readFileValues(sourcePath) : {};
  applyOverrides(values, environment.overrides);
  noteSecrets(values, environment.redisUrl, readAwsSecrets());
  return { values, sourcePath };
}

function refuseUnreadable(sourcePath: string): void {
  try {
    const facts = statSync(sourcePath);
    if (facts.isDirectory()) throw new Error('it is a folder');
    // Every process of the farm reads it, and again when it changes.
    if (facts.isFIFO()) throw new Error('it is a pipe, which can be read once');
    accessSync(sourcePath, constants.R_OK);
  } catch (error) {
    const { message } = error as Error;
    throw new FarmError('config_invalid', `The configuration ${sourcePath} cannot be read: ${message}`, {
      cause: error,
    });
  }
}

function readFileValues(sourcePath: string): Record<string, unknown> {
  return readConfigValues(decodeText(readFileSync(sourcePath), sourcePath, 'config_invalid').text, sourcePath);
}

function parseValues(values: Record<string, unknown>, sourcePath: string | undefined): ConfigValues {
  const parsed = configSchema.safeParse(values);
  if (parsed.success) return parsed.data;
  const lines = explainIssues(parsed.error, values).map((line) => `  ${line}`);
  throw new FarmError('config_invalid', [`Wrong keys in ${sourcePath ?? 'the environment'}:`, ...lines].join('\n'));
}

/** FARM_HOST is checked as the key is. */
function nameOfHost(configured: string, hostName: string | undefined): string {
  if (configured !== '' || !hostName) return configured || hostname();
  if (HOST_LABEL.test(hostName)) return hostName;
  throw new FarmError('config_invalid', `FARM_HOST: expected a name such as "gpu-host-1", got "${hostName}"`);
}

function resolveConfig(
  values: ConfigValues,
  sourcePath: string | undefined,
  { redisUrl, hostName }: ConfigEnvironment,
): Config {
  const { models_root, models, auth, ...rest } = values;
  const { api_keys: _, ...access } = auth;
  const configDir = sourcePath ? path.dirname(sourcePath) : process.cwd();
  const storageRoot = path.resolve(configDir, rest.storage.root);
  const modelCacheDir = path.resolve(configDir, rest.models_from.cache_dir || path.join(storageRoot, 'models'));
  const roots = {
    ...{ configDir, modelsRoot: models_root, audioEncoderPath: rest.onnx.audio_encoder_path },
    remote: { cacheDir: modelCacheDir, list: rest.models_from },
  };
  const entries = Object.entries(models ?? configSchema.shape.models.parse(DEMO_MODELS) ?? {});
  return {
    ...rest,
    host: { ...rest.host, name: nameOfHost(rest.host.name, hostName) },
    redis: resolveRedis(rest.redis, redisUrl, configDir),
    onnx: { ...rest.onnx, execution_providers: rest.gpus.enabled ? rest.onnx.execution_providers : ['cpu'] },
    logging: { ...rest.logging, level: rest.logging.log_level ?? rest.logging.level },
    sourcePath,
    storageRoot,
    preparedDir: path.resolve(configDir, rest.storage.prepared_dir || path.join(storageRoot, 'prepared')),
    modelCacheDir,
    models: new Map(entries.map(([modelId, entry]) => [modelId, resolveModel(modelId, entry, roots)])),
    auth: { ...access, keys: apiKeysOf(auth) },
  };
}

/** @throws FarmError `config_invalid` for a REDIS_URL of Sentinels or a cluster that is not well formed. */
function resolveRedis(
  { url, tls, ...rest }: ConfigValues['redis'],
  redisUrl: string | undefined,
  configDir: string,
): ConfigValues['redis'] {
  try {
    readGuidedAddress(redisUrl ?? '');
  } catch (error) {
    throw new FarmError('config_invalid', `REDIS_URL: ${(error as Error).message}`, { cause: error });
  }
  const absolute = (file: string) => file && path.resolve(configDir, file);
  const { ca_path, cert_path, key_path } = tls;
  const files = { ca_path: absolute(ca_path), cert_path: absolute(cert_path), key_path: absolute(key_path) };
  return { ...rest, url: url || redisUrl || '', tls: { ...tls, ...files } };
}
