import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { maxAbsError } from '../../bench/provider-check.ts';

const GPU_CHECK = fileURLToPath(new URL('../../bench/gpu-check.ts', import.meta.url));

function gpuCheck(providers: string) {
  const args = [GPU_CHECK, '--size', '160', '--rounds', '1', '--budget-s', '1', '--providers', providers];
  return spawnSync(process.execPath, args, { encoding: 'utf8' });
}

test('gpu:check measures the providers that work and says why the others do not', () => {
  const { status, stdout } = gpuCheck('abacus,cpu');
  assert.equal(status, 0);
  assert.match(stdout, /✗ abacus\n {2}could not run: this onnxruntime-node .* offers .*cpu/);
  assert.match(stdout, /✓ cpu {3}.+, \d+ cores/);
  assert.match(stdout, /beside the CPU {3}max abs error 0 \(pictures\), 0 \(features\)\n/);
  assert.match(stdout, /batch 1 +\d+\.\d\d \(.*\) +bare ONNX Runtime \d+\.\d\d/);
});

test('gpu:check fails when no provider could be checked', () => {
  assert.equal(gpuCheck('abacus').status, 1);
});

test('the largest difference is found, and a result that is no number is not taken for equal', () => {
  assert.equal(maxAbsError(Float32Array.of(0, 0.5, -1), Float32Array.of(0, 0.25, -1.5)), 0.5);
  assert.ok(Number.isNaN(maxAbsError(Float32Array.of(0, Number.NaN, 1), new Float32Array(3))));
});
