import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../shared/config/load.ts';
import { type Environment, readEnvironment } from '../../shared/process/environment.ts';
import { complaints, configFile, load, model } from './config-files.ts';

test('the environment goes over the file, whatever the case of a model id', () => {
  const file = { server: { port: ':1', queue_size: 7 }, models: { Demo2: { model_path: 'file.onnx' } } };
  const config = load(file, {
    FARM_SERVER__PORT: '50099',
    FARM_ONNX__EXECUTION_PROVIDERS: '[cpu]',
    FARM_MODELS__DEMO2__MODEL_PATH: '/from/environment.onnx',
    FARM_GPUS__ENABLED: 'false',
    FARM_STORAGE__ROOT: '/srv/farm data',
    PATH: '/usr/bin',
    FARMHOUSE: 'not ours',
  });
  assert.deepEqual(config.server.port, { host: undefined, port: 50099 });
  assert.equal(config.server.queue_size, 7);
  assert.deepEqual(config.onnx.execution_providers, ['cpu']);
  assert.deepEqual([...config.models.keys()], ['Demo2']);
  assert.equal(model(config, 'Demo2').modelPath, '/from/environment.onnx');
  assert.equal(config.gpus.enabled, false);
  assert.equal(config.storageRoot, '/srv/farm data');
});

test('a colon in front of the port means the same in the environment', () => {
  assert.deepEqual(load({}, { FARM_SERVER__PORT: ':50099' }).server.port, { host: undefined, port: 50099 });
});

test('a model can come from the environment alone', () => {
  const config = load('', { FARM_MODELS__ANN__MODEL_PATH: '/m/ann.onnx', FARM_MODELS__ANN__NUM_FRAMES: '12' });
  assert.deepEqual([...config.models.keys()], ['ann']);
  assert.equal(model(config, 'ann').frameLimit, 12);
});

test('a variable that is no key is refused like a key that is none', () => {
  assert.deepEqual(complaints('', { FARM_HTPP__PORT: '1' }), ['htpp: unknown key; did you mean "http"?']);
  assert.match(complaints('', { FARM_GPUS__COUNT: 'many' })[0] ?? '', /^gpus\.count: got "many"/);
});

test('a variable that goes into a value as if it were a section is named', () => {
  assert.throws(() => load({ http: { port: 80 } }, { FARM_HTTP__PORT__NUMBER: '81' }), {
    code: 'config_invalid',
    message: 'FARM_HTTP__PORT__NUMBER: port is a value, not a section',
  });
});

test('the address of Redis is FARM_REDIS__URL, else redis.url, else REDIS_URL', () => {
  const file = { redis: { url: 'redis://file:1' } };
  const own = { FARM_REDIS__URL: 'redis://own:3' };
  const shared = { REDIS_URL: 'redis://shared:2' };
  assert.equal(load(file, { ...own, ...shared }).redis.url, 'redis://own:3');
  assert.equal(load(file, shared).redis.url, 'redis://file:1');
  assert.equal(load({}, { ...own, ...shared }).redis.url, 'redis://own:3');
  assert.equal(load({}, shared).redis.url, 'redis://shared:2');
  assert.equal(load({}, { REDIS_URL: '', FARM_REDIS__URL: '' }).redis.url, '');
});

test('FARM_CONFIG names the file, and an argument goes before it', () => {
  const [named, given] = [configFile({ gpus: { count: 3 } }), configFile({ gpus: { count: 4 } })];
  const environment: Environment = readEnvironment({ FARM_CONFIG: named });
  assert.equal(loadConfig(undefined, environment).gpus.count, 3);
  assert.equal(loadConfig(given, environment).gpus.count, 4);
  assert.equal(loadConfig(undefined, environment).sourcePath, named);
});
