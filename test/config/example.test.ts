import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { loadConfig } from '../../shared/config/load.ts';
import { readEnvironment } from '../../shared/process/environment.ts';
import { BUILT_IN, KNOWN_KEYS, leafKeys, withoutPlace } from './config-files.ts';

const EXAMPLE = fileURLToPath(new URL('../../config.example.yaml', import.meta.url));

test('config.example.yaml holds exactly the built-in defaults', () => {
  const example = loadConfig(EXAMPLE, readEnvironment({}));
  assert.deepEqual(withoutPlace(example), withoutPlace(BUILT_IN));
  assert.equal(example.storageRoot, path.join(path.dirname(EXAMPLE), 'data'));
  assert.equal(example.preparedDir, path.join(path.dirname(EXAMPLE), 'data', 'prepared'));
});

test('config.example.yaml has every key, and a comment above each', () => {
  const text = readFileSync(EXAMPLE, 'utf8');
  assert.deepEqual(leafKeys(parse(text)).sort(), KNOWN_KEYS);
  const lines = text.split('\n');
  const bare = lines.filter((line, index) => /^\s*\w+: \S/.test(line) && !/^\s*# .*[.]$/.test(lines[index - 1] ?? ''));
  assert.deepEqual(bare, []);
});
