import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { compileKernel, kernelSources, wasmPathOf } from '../../scripts/build-wasm.ts';

describe('the committed WebAssembly', () => {
  it('is what the compiler makes of its source', async () => {
    for (const source of kernelSources()) {
      const committed = readFileSync(wasmPathOf(source));
      assert.ok(committed.equals(await compileKernel(source)), `${source} has changed: run npm run build:wasm`);
    }
  });
});
