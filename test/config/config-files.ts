import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { stringify } from 'yaml';
import { z } from 'zod';
import { type Config, DEMO_MODEL_ID, loadConfig } from '../../shared/config/load.ts';
import { configSchema } from '../../shared/config/schema.ts';
import { readEnvironment } from '../../shared/process/environment.ts';

/** Configuration files of a test file, in a folder that goes after its last test. */

export const folder = mkdtempSync(path.join(tmpdir(), 'farm-test-config-'));
after(() => rmSync(folder, { recursive: true }));
let filesWritten = 0;

/** Writes a configuration file and returns its path. */
export function configFile(content: string | Uint8Array | object): string {
  const file = path.join(folder, `config-${filesWritten++}.yaml`);
  writeFileSync(file, typeof content === 'string' || content instanceof Uint8Array ? content : stringify(content));
  return file;
}

/** The configuration of a file and of nothing but the variables given here. */
export function load(content: string | object, variables: NodeJS.ProcessEnv = {}): Config {
  return loadConfig(configFile(content), readEnvironment(variables));
}

/** The lines in which a configuration is refused, less the first, which names the file. */
export function complaints(content: string | object, variables: NodeJS.ProcessEnv = {}): string[] {
  try {
    load(content, variables);
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    assert.equal(code, 'config_invalid', message);
    const [heading, ...lines] = message.split('\n');
    assert.match(heading ?? '', /^Wrong keys in .*config-\d+\.yaml:$/);
    return lines.map((line) => line.trim());
  }
  assert.fail('The configuration was accepted');
}

export function model(config: Config, modelId: string) {
  const found = config.models.get(modelId);
  assert.ok(found, `There is no model ${modelId}`);
  return found;
}

/** Everything but where the configuration came from; `level` says what `log_level` said. */
export function withoutPlace({
  sourcePath: _,
  storageRoot: __,
  preparedDir: ___,
  modelCacheDir: ____,
  ...values
}: Config) {
  return { ...values, logging: { ...values.logging, log_level: undefined } };
}

function schemaKeys(schema: unknown, at: readonly string[] = []): string[] {
  const { properties, additionalProperties } = schema as { properties?: object; additionalProperties?: unknown };
  if (properties) return Object.entries(properties).flatMap(([key, inner]) => schemaKeys(inner, [...at, key]));
  if (additionalProperties) return schemaKeys(additionalProperties, [...at, DEMO_MODEL_ID]);
  return [at.join('.')];
}

export function leafKeys(value: unknown, at: readonly string[] = []): string[] {
  const isSection = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isSection) return [at.join('.')];
  return Object.entries(value).flatMap(([key, inner]) => leafKeys(inner, [...at, key]));
}

/** Paths of all keys of the configuration, with `demo` for the id of a model. */
export const KNOWN_KEYS: readonly string[] = schemaKeys(
  z.toJSONSchema(configSchema, { io: 'output', unrepresentable: 'any' }),
).sort();

/** What is in force when nothing is configured. */
export const BUILT_IN = load('');
