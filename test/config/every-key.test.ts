import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KNOWN_KEYS } from './config-files.ts';
import { keysIn } from './key-table.ts';
import { gpuKeys } from './tables/gpus.ts';
import { limitKeys } from './tables/limits.ts';
import { modelKeys } from './tables/models.ts';
import { providerKeys } from './tables/providers.ts';
import { storageKeys } from './tables/storage.ts';

test('every key of the configuration has a check of what comes out of a farm, and no other key has one', () => {
  const checked = new Set([modelKeys, gpuKeys, limitKeys, providerKeys, storageKeys].flatMap(keysIn));
  assert.deepEqual([...checked].sort(), KNOWN_KEYS);
});
