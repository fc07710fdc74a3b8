import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../shared/config/load.ts';
import { hasPictures } from '../../shared/config/model-config.ts';
import { keysWithoutEffect } from '../../shared/config/no-effect.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { load, model } from './config-files.ts';

const fixture = (name: string) => loadConfig(path.join(import.meta.dirname, 'fixtures', name), readEnvironment({}));

test("the compositing server's file loads, and the user is told what became of its inference server", () => {
  const config = fixture('old-compositing-server.yaml');
  assert.deepEqual(config.inference_server, { url: 'gpu-host:50051', timeout_seconds: 30, max_retries: 5 });
  assert.deepEqual(model(config, 'studio').problems, []);
  const told = new Map(keysWithoutEffect(config).map(({ key, why }) => [key, why]));
  assert.match(told.get('inference_server.url') ?? '', /its own inference server.*server\.compositing_port/);
  assert.ok(told.has('inference_server.timeout_seconds') && told.has('inference_server.max_retries'));
});

test("the inference server's file loads: its models are networks without pictures", () => {
  const config = fixture('old-inference-server.yaml');
  const studio = model(config, 'studio');
  assert.deepEqual([studio.problems, studio.preloadModel, studio.preferredGpu], [[], true, 0]);
  assert.equal(hasPictures(studio), false);
  assert.equal(config.gpus.assignment_strategy, 'round-robin');
});

test('whatever the section inference_server holds besides, the file loads', () => {
  const inference_server = { url: 'gpu:50051', timeout_seconds: '10s', keep_alive: { seconds: 10 } };
  assert.equal(load({ inference_server }).inference_server.url, 'gpu:50051');
});
